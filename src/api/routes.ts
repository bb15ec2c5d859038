/** Admin routes, as client and gateway share them. Apart from the schemas, so that a command need not load the schema library. */
export const adminRoutes = {
  status: "/admin/status",
  instance: (id: string): string => `/admin/instances/${encodeURIComponent(id)}`,
  model: (name: string): string => `/admin/models/${encodeURIComponent(name)}`,
  nodes: "/admin/nodes",
  usage: "/admin/usage",
  pulls: "/admin/pulls",
  reload: "/admin/reload",
  shutdown: "/admin/shutdown",
} as const;
