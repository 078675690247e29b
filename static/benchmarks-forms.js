/*
 * The forms of the Benchmarks page: a machine, a run, a phase.
 */
import { openForm } from "./lib/form.js";
import { say } from "./lib/elements.js";
import { machineName } from "./benchmarks-run.js";

export function enterMachine(entered) {
  openForm({
    title: "Add machine", path: "host_systems", verb: "Add machine",
    fields: [
      { name: "description", label: "Machine", isRequired: true, hint: "What it is, for instance: rack 4, slot 2" },
      { name: "os", label: "System", isRequired: true, hint: "For instance: Debian 12" },
      { name: "cpu_qty", label: "Processors", kind: "number", isRequired: true, hint: "How many" },
      { name: "cpu_clock", label: "Clock", kind: "number", isRequired: true, hint: "MHz" },
      { name: "ram_mb", label: "Memory", kind: "number", isRequired: true, hint: "MiB" },
      { name: "disk_info", label: "Disks", isRequired: true, hint: "For instance: NVMe, ext4" },
    ],
    sent: (machine) => {
      say(`Machine ${machine.id} added.`);
      entered(machine);
    },
  });
}

/** `machines`: to choose among; `peers`: ids of nodes, suggested as the node under test. */
export function enterRun(machines, peers, entered) {
  const now = Date.now();
  openForm({
    title: "Add run", path: "benchmarks", verb: "Add run",
    fields: [
      { name: "description", label: "Description", hint: "What was tried" },
      { name: "ts_start", label: "Start", kind: "time", isRequired: true, value: new Date(now - 3_600_000), hint: "By your clock" },
      { name: "ts_end", label: "End", kind: "time", isRequired: true, value: new Date(now), hint: "By your clock. It may lie ahead: then the run is still going on" },
      { name: "host_system_id", label: "Machine", kind: "choice", options: [["", "none"], ...machines.map((machine) => [machine.id, `${machine.id}: ${machineName(machine)}`])] },
      { name: "setup", label: "Node under test", suggestions: peers, hint: "Its peer id. Then only its spans belong to the run" },
      { name: "benchmark_spec", label: "What it did", kind: "json", hint: 'A JSON object, for instance {"transfers": 10000}' },
      { name: "chain_spec", label: "Chain", kind: "json", hint: "The chain specification, a JSON object" },
    ],
    toBody: ({ setup, ...values }) => ({ ...values, ...(setup ? { setup: { substrate: { peerId: setup } } } : {}) }),
    sent: (run) => {
      say(`Run ${run.id} added.`);
      entered(run);
    },
  });
}

/** `names`: of phases that are known already. */
export function enterPhase(run, names, entered) {
  openForm({
    title: `Add phase to run ${run.id}`, path: "benchmarks/events", verb: "Add phase",
    fields: [
      { name: "name", label: "Name", isRequired: true, suggestions: names, hint: "For instance: warm-up" },
      { name: "phase", label: "What happened", isRequired: true, suggestions: ["start", "end"], hint: "start and end of one name make a bar; anything else is a moment" },
      { name: "created_at", label: "When", kind: "time", hint: "By your clock; now, if it is empty" },
    ],
    toBody: (values) => ({ ...values, benchmark_id: run.id }),
    sent: (event) => {
      say("Phase added.");
      entered(event);
    },
  });
}
