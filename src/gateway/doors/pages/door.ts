import type { FastifyInstance, FastifyReply } from "fastify";
import type { Door } from "../../front/door.ts";
import { bearerDoor } from "../../front/error-body.ts";
import type { TableRow } from "../../front/table.ts";
import type { HomeOptions } from "./home.ts";

export interface PagesOptions extends HomeOptions {
  /** The response of `/` to programs. */
  readonly greeting: string;
  /** Every route of the listener. */
  readonly routes: () => readonly TableRow[];
}

/** Nothing is loaded from elsewhere, and no other page may frame one of these. */
const POLICY: readonly string[] = [
  "default-src 'none'",
  "script-src 'self'",
  "img-src 'self' data:",
  "font-src 'self'",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
];
/** ReDoc and Swagger UI insert styles into the page, and ReDoc searches in a separate worker. */
const APP_POLICY = [...POLICY, "style-src 'self' 'unsafe-inline'", "worker-src blob:"].join("; ");
/** It has no scripts; its styles are in the page. */
const HOME_POLICY = [...POLICY.filter((each) => !each.startsWith("script-src")), "style-src 'unsafe-inline'"].join(
  "; ",
);
const ASSET_AGE_S = 3600;

const HTML = { "text/html": { type: "string" } };
const page = (summary: string) => ({ config: { scope: null, describe: { summary, answers: HTML } } }) as const;
const OPENAPI = {
  config: {
    scope: null,
    describe: { summary: "Describe every route, as OpenAPI", answers: { "application/json": { type: "object" } } },
  },
} as const;

/**
 * The description of the API, and pages that show it. All of it is created and loaded on first use, so that it does not
 * delay the daemon's start.
 */
export const pagesDoor = (options: PagesOptions): Door => ({
  ...bearerDoor,
  name: "pages",
  register: (app) => registerRoutes(app, options),
});

const HOME = {
  config: {
    scope: null,
    describe: {
      summary: "Show what is running and how to connect",
      answers: { ...HTML, "text/plain": { type: "string" } },
    },
  },
} as const;

function registerRoutes(app: FastifyInstance, options: PagesOptions): void {
  const { version, routes, greeting } = options;
  app.get("/", HOME, async ({ headers }, reply) => {
    reply.header("vary", "accept");
    if (headers.accept?.includes("text/html") !== true)
      return await reply.type("text/plain; charset=utf-8").send(greeting);
    const { homePage } = await import("./home.ts");
    return await sendHtml(reply, await homePage(headers, options), HOME_POLICY);
  });
  // The routes are fixed once the listener answers.
  let description: string | null = null;
  const describe = async (): Promise<string> => {
    const { openApi } = await import("../../front/openapi.ts");
    return JSON.stringify(openApi(routes(), version));
  };
  app.get("/openapi.json", OPENAPI, async (_, reply) => {
    description ??= await describe();
    return await reply.type("application/json; charset=utf-8").send(description);
  });
  app.get("/docs", page("Try the API out in Swagger UI"), async (_, reply) => {
    const { swaggerPage } = await import("./html.ts");
    return await sendHtml(reply, swaggerPage, APP_POLICY);
  });
  app.get("/redoc", page("Read about the API in ReDoc"), async (_, reply) => {
    const { redocPage } = await import("./html.ts");
    return await sendHtml(reply, redocPage, APP_POLICY);
  });
  const asset = {
    config: {
      scope: null,
      describe: { summary: "A script or style of a page", answers: { "text/*": { type: "string" } } },
    },
  } as const;
  app.get("/docs/assets/:file", asset, async (request, reply) => {
    const { assetOf } = await import("./assets.ts");
    const { type, stream } = assetOf((request.params as { readonly file: string }).file);
    return await reply
      .headers({ "cache-control": `public, max-age=${ASSET_AGE_S}`, "x-content-type-options": "nosniff" })
      .type(type)
      .send(stream);
  });
}

const sendHtml = (reply: FastifyReply, html: string, policy: string): FastifyReply =>
  reply
    .headers({
      "content-security-policy": policy,
      "x-content-type-options": "nosniff",
      "referrer-policy": "no-referrer",
      "cache-control": "no-cache",
    })
    .type("text/html; charset=utf-8")
    .send(html);
