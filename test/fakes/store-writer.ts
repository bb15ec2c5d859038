// Writes records as fast as it can until it is killed: the id of each one that was acknowledged goes to a file, a sign
// to stdout.
import { openSync, writeSync } from "node:fs";
import { SqliteStore } from "../../src/store/sqlite/store.ts";

const [directory = "", acknowledged = "", writers = "1", sync] = process.argv.slice(2);
const file = openSync(acknowledged, "a");
const store = new SqliteStore({
  directory,
  sync: sync === "everysec" ? sync : "always",
  report: (problem) => process.stderr.write(`${problem}\n`),
});
const records = store.collection<{ padding: string }>({ name: "records", indexes: {} });

async function write(writer: number): Promise<never> {
  for (let number = 0; ; number++) {
    const id = `${writer}-${number}`;
    await store.commit([records.put(id, { padding: "x".repeat(500) }, { tenant: "x", expect: 0 })]);
    // What the kernel has outlives the process.
    writeSync(file, `${id}\n`);
    process.stdout.write("+");
  }
}

await Promise.all(Array.from({ length: Number(writers) }, (_, writer) => write(writer)));
