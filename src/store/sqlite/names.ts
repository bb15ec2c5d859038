/** Names come from the code of features; what is none cannot become SQL. */
export function identifier(name: string): string {
  if (!/^[A-Za-z_][A-Za-z0-9_]*$/.test(name)) throw new TypeError(`${name} is no name for a collection or a field.`);
  return name;
}
export const tableOf = (collection: string): string => `"c_${identifier(collection)}"`;
export const columnOf = (field: string): string => (field === "@tenant" ? "tenant" : `"f_${identifier(field)}"`);
