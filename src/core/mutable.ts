/** An object while it is being put together. */
export type Mutable<T> = { -readonly [Name in keyof T]: T[Name] };
