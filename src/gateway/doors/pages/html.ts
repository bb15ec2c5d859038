const head = (title: string): string => `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${title}</title>`;

/** Swagger UI on `/openapi.json`. */
export const swaggerPage = `${head("Assistant API")}
<link rel="stylesheet" href="/docs/assets/swagger-ui.css">
<link rel="icon" href="data:,">
<body>
<div id="swagger-ui"></div>
<script src="/docs/assets/swagger-ui-bundle.js"></script>
<script src="/docs/assets/swagger-start.js"></script>
</body>
</html>
`;

/** ReDoc on `/openapi.json`. */
export const redocPage = `${head("Assistant API")}
<link rel="icon" href="data:,">
<style>body { margin: 0; }</style>
<body>
<redoc spec-url="/openapi.json"></redoc>
<script src="/docs/assets/redoc.standalone.js"></script>
</body>
</html>
`;
