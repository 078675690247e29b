"""What is shipped under deploy/, looked at by Helm's own library, the schemas of Kubernetes and the compose specification.

    check.py lint CHART            findings of `helm lint`, as JSON
    check.py render CHART <VALUES  what a list of values makes, as JSON: for each the documents, or the error
    check.py validate <DOCUMENTS   what is wrong with a list of documents by the schema of VERSION, one line each
    check.py compose <FILE         fails if it does not follow the compose specification
"""

import json
import sys

import yaml

# Of the cluster; resources that it does not know are those of operators.
VERSION = "1.33"


def lint(chart):
    import helm_python

    values = {"image": {"repository": "r.example.org/t"}, "secrets": {"DATABASE_URL": "postgres://u@h/d"}}
    json.dump(helm_python.lint(chart, values), sys.stdout)


def render(path):
    import helm_python

    results = []
    for values in json.load(sys.stdin):
        try:
            with helm_python.Chart.load(path) as chart:
                chart.validate_schema(values)
                files = chart.render(values, name="telemetry", namespace="monitoring")
        except helm_python.HelmError as error:
            results.append({"error": str(error)})
            continue
        notes = "".join(text for name, text in files.items() if name.endswith("NOTES.txt"))
        manifests = [text for name, text in files.items() if name.endswith(".yaml")]
        documents = [document for text in manifests for document in yaml.safe_load_all(text) if document]
        results.append({"documents": documents, "notes": notes})
    json.dump(results, sys.stdout)


def validate():
    import kubernetes_validate

    for document in json.load(sys.stdin):
        name = f"{document['kind']} {document['metadata']['name']}"
        try:
            kubernetes_validate.validate(document, VERSION, strict=True)
        except kubernetes_validate.SchemaNotFoundError:
            print(f"no schema: {name}")
        except kubernetes_validate.ValidationError as error:
            print(f"{name}: {error.message}")


def compose():
    import compose_spec

    options = compose_spec.PyOptions()
    options.apply_merge = True
    options.from_yaml(sys.stdin.read())


{"lint": lint, "render": render, "validate": validate, "compose": compose}[sys.argv[1]](*sys.argv[2:])
