import { Ajv, type ValidateFunction } from "ajv";
import type { FastifyInstance, FastifySchemaCompiler } from "fastify";

/**
 * Schemas are compiled when a request first needs one, and responses are not validated: fastify would compile all of
 * them at each start of the daemon, a fifth of its CPU time, for routes that may never be used.
 */
export function compileSchemasLate(app: FastifyInstance): void {
  let ajv: Ajv | undefined;
  const compiler: FastifySchemaCompiler<object> = ({ schema }) => {
    let validate: ValidateFunction | undefined;
    return (data: unknown) => {
      // Like fastify: parameters are strings, and are converted as the schema says.
      ajv ??= new Ajv({ coerceTypes: "array", useDefaults: true, removeAdditional: true, validateSchema: false });
      validate ??= ajv.compile(schema);
      return validate(data) === true ? true : { error: validate.errors ?? [] };
    };
  };
  app.setValidatorCompiler(compiler as FastifySchemaCompiler<unknown>);
  app.setSerializerCompiler(() => (data) => JSON.stringify(data));
}
