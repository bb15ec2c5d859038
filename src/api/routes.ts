/**
 * Admin routes, as client and gateway share them. Apart from the schemas, so that a command need not load the schema
 * library.
 */
export const adminRoutes = {
  status: "/admin/status",
  instance: (id: string): string => `/admin/instances/${encodeURIComponent(id)}`,
  models: "/admin/models",
  model: (name: string): string => `/admin/models/${encodeURIComponent(name)}`,
  nodes: "/admin/nodes",
  usage: "/admin/usage",
  usageByDay: "/admin/usage/days",
  pulls: "/admin/pulls",
  keys: "/admin/keys",
  key: (name: string): string => `/admin/keys/${encodeURIComponent(name)}`,
  audit: "/admin/audit",
  reload: "/admin/reload",
  shutdown: "/admin/shutdown",
} as const;
