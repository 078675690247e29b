//! Kubernetes: the template and the Helm chart say the same, and their numbers fit the settings.

use serde_json::{Value, json};
use tetcore_analytics::config::settings::{self, Allowed, DefaultValue, SETTINGS};

use super::{checked, default_of, documents, shipped};

const CHART: &str = "deploy/helm/tetcore-analytics";

/// Bytes of a quantity such as `10Gi`.
fn bytes(quantity: &Value) -> u64 {
    let quantity = quantity.as_str().unwrap();
    let (digits, shift) = match quantity.split_at(quantity.len() - 2) {
        (digits, "Mi") => (digits, 20),
        (digits, "Gi") => (digits, 30),
        _ => panic!("{quantity}"),
    };
    digits.parse::<u64>().unwrap() << shift
}

/// What is given to Kubernetes.
struct Manifests(Vec<Value>);

impl Manifests {
    /// Of the template, with values as its head describes them.
    fn of_template() -> Self {
        let mut text = shipped("deployment.template.yml");
        for (name, value) in [
            ("NAMESPACE", "telemetry"),
            ("IMAGE", "registry.example.org/tetcore-analytics:1.0.0"),
            ("REPLICAS", "2"),
            ("REPLICAS_MAX", "4"),
            ("LOAD_BALANCER_SOURCE_RANGES", "[\"10.0.0.0/8\"]"),
            ("PROMETHEUS_RELEASE", "kube-prometheus-stack"),
            ("DATABASE_URL", "postgres://u:p@h/d"),
        ] {
            assert!(
                text.contains(&format!("#   {name}")) || name == "DATABASE_URL",
                "{name}"
            );
            text = text.replace(&format!("${{{name}}}"), value);
        }
        // All others may be empty.
        let mut filled = String::new();
        let mut parts = text.split("${");
        filled.push_str(parts.next().unwrap());
        for part in parts {
            let (name, rest) = part.split_once('}').unwrap();
            assert!(shipped("deployment.template.yml").contains(name));
            filled.push_str(rest);
        }
        Self(documents(&filled))
    }

    /// Of the chart; none where Helm's library is not there.
    fn of_chart(values: &[Value]) -> Option<Vec<Self>> {
        let rendered = render(values)?;
        let manifests = rendered.into_iter().map(|result| {
            let documents = result["documents"].as_array();
            Self(documents.unwrap_or_else(|| panic!("{result}")).clone())
        });
        Some(manifests.collect())
    }

    fn kinds(&self) -> Vec<&str> {
        let mut kinds: Vec<_> = self
            .0
            .iter()
            .map(|it| it["kind"].as_str().unwrap())
            .collect();
        kinds.sort_unstable();
        kinds
    }

    fn get(&self, kind: &str) -> &Value {
        let found = self.0.iter().find(|document| document["kind"] == kind);
        found.unwrap_or_else(|| panic!("no {kind}"))
    }

    fn setting(&self, name: &str) -> &str {
        self.get("ConfigMap")["data"][name]
            .as_str()
            .unwrap_or_else(|| panic!("{name}"))
    }

    fn number(&self, name: &str) -> u64 {
        self.setting(name).parse().unwrap()
    }

    fn pod(&self) -> &Value {
        &self.get("StatefulSet")["spec"]["template"]["spec"]
    }

    fn container(&self) -> &Value {
        &self.pod()["containers"][0]
    }

    /// A server keeps its name and its spool, on a volume that is larger than that.
    fn assert_identity(&self) {
        let spec = &self.get("StatefulSet")["spec"];
        let claim = &spec["volumeClaimTemplates"][0];
        let mount = &self.container()["volumeMounts"][0];
        assert_eq!(mount["name"], claim["metadata"]["name"]);
        assert_eq!(mount["mountPath"], self.setting("DATA_DIR"));
        assert!(
            self.setting("SPOOL_DIR")
                .starts_with(self.setting("DATA_DIR"))
        );
        assert!(!self.pod().to_string().contains("emptyDir"));
        for policy in ["whenDeleted", "whenScaled"] {
            assert_eq!(
                spec["persistentVolumeClaimRetentionPolicy"][policy],
                "Retain"
            );
        }
        let (volume, spool) = (
            bytes(&claim["spec"]["resources"]["requests"]["storage"]),
            self.number("SPOOL_MAX_BYTES"),
        );
        assert!(
            volume >= spool + spool / 5,
            "{volume} bytes for a spool of {spool}"
        );
    }

    /// Memory holds what the settings let in; docs of the settings say what each takes.
    fn assert_memory(&self) {
        let connections = 2 * 20 * 1_024 * self.number("CONNECTIONS_MAX");
        let feed = 20_000 * self.number("FEED_CONNECTIONS_MAX");
        let queue = 4 * self.number("QUEUE_BYTES_MAX");
        let needed = connections + feed + queue + (256 << 20);
        let resources = &self.container()["resources"];
        let limit = bytes(&resources["limits"]["memory"]);
        assert!(limit >= needed, "{limit} bytes, {needed} are needed");
        assert!(bytes(&resources["requests"]["memory"]) <= limit);
    }

    /// Ready is who takes telemetry; the end waits for the load balancer, then for what was read.
    fn assert_life(&self) {
        let container = self.container();
        for (probe, path) in [
            ("startupProbe", "/health/live"),
            ("livenessProbe", "/health/live"),
            ("readinessProbe", "/health/ready"),
        ] {
            assert_eq!(container[probe]["httpGet"]["path"], path);
            assert_eq!(
                container[probe]["httpGet"]["port"],
                container["ports"][0]["name"]
            );
        }
        assert_eq!(container["ports"][0]["containerPort"], self.number("PORT"));
        let wait = &container["lifecycle"]["preStop"]["exec"]["command"];
        assert_eq!(wait[0], "sleep");
        let wait: u64 = wait[1].as_str().unwrap().parse().unwrap();
        let grace = self.pod()["terminationGracePeriodSeconds"]
            .as_u64()
            .unwrap();
        assert!(
            grace >= wait + self.number("SHUTDOWN_TIMEOUT_S") + 5,
            "{grace} s"
        );
    }

    /// What goes in and out, how many may be away, and when there are more.
    fn assert_surroundings(&self) {
        let labels = &self.get("StatefulSet")["spec"]["selector"]["matchLabels"];
        let policy = &self.get("NetworkPolicy")["spec"];
        assert_eq!(policy["podSelector"]["matchLabels"], *labels);
        assert_eq!(policy["policyTypes"], json!(["Ingress", "Egress"]));
        let port = &self.container()["ports"][0]["name"];
        assert_eq!(
            policy["ingress"],
            json!([{"ports": [{"protocol": "TCP", "port": port}]}])
        );
        let outward = policy["egress"].to_string();
        for port in [53, 5432, 6432, 443, 9093, 3100, 4318] {
            assert!(
                outward.contains(&format!("\"port\":{port},")),
                "{port}: {outward}"
            );
        }
        let budget = &self.get("PodDisruptionBudget")["spec"];
        assert_eq!(budget["selector"]["matchLabels"], *labels);
        assert_eq!(budget["maxUnavailable"], 1);

        let scaling = &self.get("HorizontalPodAutoscaler")["spec"];
        let set = self.get("StatefulSet");
        assert_eq!(scaling["scaleTargetRef"]["name"], set["metadata"]["name"]);
        assert!(
            set["spec"]["replicas"].is_null(),
            "a second master of the number"
        );
        assert_eq!(
            (&scaling["minReplicas"], &scaling["maxReplicas"]),
            (&json!(2), &json!(4))
        );
        let metric = &scaling["metrics"][0]["pods"];
        assert_eq!(
            metric["metric"]["name"],
            "tetcore_analytics_ingest_connections"
        );
        let connections: u64 = metric["target"]["averageValue"]
            .as_str()
            .unwrap()
            .parse()
            .unwrap();
        assert_eq!(connections, self.number("CONNECTIONS_MAX") / 2);
    }

    fn assert_fit(&self) {
        self.assert_identity();
        self.assert_memory();
        self.assert_life();
    }

    /// By the schemas of Kubernetes; resources of operators have none there.
    fn assert_valid(&self) {
        let all = json!(self.0).to_string();
        if let Some(wrong) = checked(&["validate"], &all) {
            assert_eq!(
                wrong
                    .replace("no schema: ServiceMonitor tetcore-analytics\n", "")
                    .replace("no schema: ServiceMonitor telemetry\n", ""),
                ""
            );
        }
    }
}

fn render(values: &[Value]) -> Option<Vec<Value>> {
    let rendered = checked(&["render", CHART], &json!(values).to_string())?;
    Some(serde_json::from_str(&rendered).unwrap())
}

/// What the chart needs, and these.
fn values(others: &Value) -> Value {
    let mut values = json!({
        "image": {"repository": "registry.example.org/tetcore-analytics"},
        "secrets": {"DATABASE_URL": "postgres://u:p@h/d"},
    });
    for (name, value) in others.as_object().unwrap() {
        values[name] = value.clone();
    }
    values
}

#[test]
fn the_template_fits_the_settings_and_the_schemas_of_kubernetes() {
    let template = Manifests::of_template();
    template.assert_fit();
    template.assert_surroundings();
    template.assert_valid();
    let text = shipped("deployment.template.yml");
    for setting in SETTINGS {
        let (Allowed::Integer(..), DefaultValue::Text(default)) =
            (setting.allowed, setting.default)
        else {
            continue;
        };
        let given = template.setting(setting.name);
        let is_own = given.is_empty() || text.contains(&format!("${{{}}}", setting.name));
        assert!(
            given == default || is_own,
            "{} is {given}, by default {default}",
            setting.name
        );
    }
}

#[test]
fn the_chart_fits_the_settings_whatever_its_values_are() {
    let scaling = json!({"enabled": true, "replicasMax": 4});
    let tried = [
        json!({}),
        json!({"replicas": 2, "autoscaling": scaling, "serviceMonitor": {"enabled": true, "tokenSecret": "s", "labels": {"release": "r"}},
            "image": {"repository": "r.example.org/t", "digest": format!("sha256:{}", "0".repeat(64)), "pullSecrets": ["pull"]},
            "service": {"type": "LoadBalancer", "loadBalancerSourceRanges": ["10.0.0.0/8"], "annotations": {"a": "b"}},
            "persistence": {"storageClass": "fast"}, "nodeSelector": {"disk": "ssd"}, "podAnnotations": {"a": "b"},
            "tolerations": [{"key": "telemetry", "operator": "Exists"}]}),
        json!({"settings": {"CONNECTIONS_MAX": "200000", "SPOOL_MAX_BYTES": "107374182400", "QUEUE_BYTES_MAX": "1073741824",
            "FEED_CONNECTIONS_MAX": "50000", "SHUTDOWN_TIMEOUT_S": "120"}, "drainSeconds": 20}),
        json!({"secrets": {}, "existingSecret": "own", "service": {"type": "ClusterIP"}, "networkPolicy": {"enabled": false}}),
    ];
    let Some(charts) = Manifests::of_chart(&tried.each_ref().map(values)) else {
        return;
    };
    for chart in &charts {
        chart.assert_fit();
        chart.assert_valid();
        let settings = chart.get("ConfigMap")["data"].as_object().unwrap();
        for name in settings.keys() {
            assert!(settings::find(name).is_some(), "{name} is no setting");
        }
    }
    let [plain, full, large, bare] = &charts[..] else {
        panic!("{} results", charts.len());
    };
    // What the program has as default stands there with it.
    for name in [
        "SPOOL_MAX_BYTES",
        "CONNECTIONS_MAX",
        "FEED_CONNECTIONS_MAX",
        "QUEUE_BYTES_MAX",
        "SHUTDOWN_TIMEOUT_S",
    ] {
        assert_eq!(plain.number(name), default_of(name), "{name}");
        assert!(large.number(name) > plain.number(name));
    }
    assert_eq!(plain.get("StatefulSet")["spec"]["replicas"], 1);
    full.assert_surroundings();
    // The same in both ways to install it.
    assert_eq!(full.kinds(), Manifests::of_template().kinds());
    assert!(!bare.kinds().contains(&"Secret") && !bare.kinds().contains(&"NetworkPolicy"));
    assert_eq!(bare.container()["envFrom"][1]["secretRef"]["name"], "own");
    let template = Manifests::of_template();
    for part in [
        "startupProbe",
        "livenessProbe",
        "readinessProbe",
        "lifecycle",
        "securityContext",
        "ports",
    ] {
        assert_eq!(template.container()[part], full.container()[part], "{part}");
    }
    for part in [
        "securityContext",
        "automountServiceAccountToken",
        "enableServiceLinks",
        "terminationGracePeriodSeconds",
    ] {
        assert_eq!(template.pod()[part], full.pod()[part], "{part}");
    }
}

#[test]
fn values_that_cannot_work_are_refused_with_what_to_do() {
    let tried = [
        (json!({}), "image.repository is required"),
        (
            json!({"image": {"repository": "r"}}),
            "secrets.DATABASE_URL or existingSecret is required",
        ),
        (values(&json!({"replicas": 0})), "replicas"),
        (values(&json!({"replica": 1})), "replica"),
        (
            values(&json!({"settings": {"CONNECTIONS_MAX": "0"}})),
            "CONNECTIONS_MAX",
        ),
        (
            values(&json!({"settings": {"LOG_EXPIRY_H": 5}})),
            "LOG_EXPIRY_H",
        ),
        (values(&json!({"persistence": {"size": "10"}})), "size"),
    ];
    let asked: Vec<_> = tried.iter().map(|(values, _)| values.clone()).collect();
    let Some(rendered) = render(&asked) else {
        return;
    };
    for ((values, named), result) in tried.iter().zip(&rendered) {
        let error = result["error"]
            .as_str()
            .unwrap_or_else(|| panic!("{values} is taken"));
        assert!(error.contains(named), "{values}: {error}");
    }
}

#[test]
fn helm_lint_finds_nothing() {
    let Some(found) = checked(&["lint", CHART], "") else {
        return;
    };
    let found: Value = serde_json::from_str(&found).unwrap();
    assert_eq!(found["total_charts_linted"], 1);
    let messages = found["messages"].as_array().unwrap();
    let others: Vec<_> = messages
        .iter()
        .filter(|it| it["error"] != "icon is recommended")
        .collect();
    assert!(others.is_empty() && found["errors"] == json!([]), "{found}");
}
