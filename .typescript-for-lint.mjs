import { registerHooks } from "node:module";

// dependency-cruiser reads sources through TypeScript's parser, which TypeScript 7 no longer offers to other programs:
// it gets the last version that does.
registerHooks({
  resolve: (specifier, context, next) => next(specifier.replace(/^typescript(?=$|\/)/u, "lint-typescript"), context),
});
