/** The beginning of a page, before its body. */
export const pageHead = (title: string): string => `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${title}</title>
<link rel="icon" href="data:,">`;

export const escaped = (text: string): string =>
  text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);

export const STYLE = `
:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; margin: 0; }
main { max-width: 50rem; margin: 2rem auto; padding: 0 1rem; }
h1 small { font-size: 1rem; font-weight: normal; opacity: .6; }
h3 { margin-bottom: 0; font-size: 1rem; }
pre, code { font-family: ui-monospace, monospace; font-size: .9em; }
pre { margin: .3rem 0 1rem; padding: .7rem 1rem; overflow-x: auto; border-radius: 6px; background: #8882; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; padding: .3rem .8rem .3rem 0; border-bottom: 1px solid #8884; }
`;

/** Swagger UI on `/openapi.json`. */
export const swaggerPage = `${pageHead("Assistant API")}
<link rel="stylesheet" href="/docs/assets/swagger-ui.css">
<body>
<div id="swagger-ui"></div>
<script src="/docs/assets/swagger-ui-bundle.js"></script>
<script src="/docs/assets/swagger-start.js"></script>
</body>
</html>
`;

/** ReDoc on `/openapi.json`. */
export const redocPage = `${pageHead("Assistant API")}
<style>body { margin: 0; }</style>
<body>
<redoc spec-url="/openapi.json"></redoc>
<script src="/docs/assets/redoc.standalone.js"></script>
</body>
</html>
`;
