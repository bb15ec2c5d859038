/**
 * The dependency arrow of docs/architecture.md: a folder imports only from a lower layer, and siblings of one layer
 * never import each other. A new folder gets its layer here; one that is missing here may not exist.
 */
const layers = [
  ["src/core"],
  ["src/api", "src/config"],
  ["src/engines", "src/models", "src/store", "src/telemetry", "src/upstreams"],
  ["src/scheduler", "src/fleet", "src/cluster", "src/providers", "src/inference"],
  [
    "src/keys",
    "src/registry",
    "src/tasks",
    "src/monitor",
    "src/conversations",
    "src/pipelines",
    "src/workers",
    "src/replicas",
    "src/objects",
    "src/retrieval",
    "src/mcp",
  ],
  ["src/gateway"],
  ["src/daemon", "src/client", "src/ui"],
  ["commands"],
];

const all = layers.flat();
const inside = (folders) => `^(${folders.join("|")})/`;

const arrow = all.map((folder) => {
  const level = layers.findIndex((layer) => layer.includes(folder));
  const allowed = [folder, ...layers.slice(0, level).flat()];
  return {
    name: `layer-${level}-${folder.replace("src/", "")}`,
    comment: `${folder} [${level}] imports only from itself and from lower layers: ${allowed.slice(1).join(", ") || "nothing"}.`,
    severity: "error",
    from: { path: inside([folder]) },
    to: { path: "^(src|commands|test|bench|bin)/", pathNot: inside(allowed) },
  };
});

module.exports = {
  forbidden: [
    {
      name: "no-circular",
      comment: "Import cycles make the order of initialisation a matter of luck.",
      severity: "error",
      from: {},
      to: { circular: true },
    },
    {
      name: "no-unresolvable",
      comment: "The imported file or package does not exist.",
      severity: "error",
      from: {},
      to: { couldNotResolve: true },
    },
    {
      name: "known-folder",
      comment: "Every source file lies in a folder that has a layer.",
      severity: "error",
      from: { path: "^src/", pathNot: inside(all) },
      to: {},
    },
    {
      name: "no-dev-dependency",
      comment: "What users run must not need packages that only developers have.",
      severity: "error",
      from: { path: "^(src|commands)/" },
      to: { dependencyTypes: ["npm-dev", "npm-no-pkg"] },
    },
    {
      name: "client-speaks-to-the-daemon-only",
      comment:
        "src/client is a typed client of the daemon's API: what commands do beside the daemon is in commands/support.",
      severity: "error",
      from: { path: "^src/client/" },
      to: { path: "^(src|commands)/", pathNot: inside(["src/client", "src/api", "src/core", "src/config"]) },
    },
    {
      name: "support-is-not-a-command",
      comment:
        "Commands import what they share from commands/support, never from each other; support knows no command.",
      severity: "error",
      from: { path: "^commands/" },
      to: { path: "^commands/", pathNot: inside(["commands/support"]) },
    },
    ...arrow,
  ],
  options: {
    // Through .typescript-for-lint.mjs; type-only imports count too.
    parser: "tsc",
    tsPreCompilationDeps: true,
    doNotFollow: { path: "node_modules" },
    enhancedResolveOptions: {
      exportsFields: ["exports"],
      conditionNames: ["import", "node", "default", "types"],
      extensions: [".ts", ".tsx", ".js", ".json"],
    },
  },
};
