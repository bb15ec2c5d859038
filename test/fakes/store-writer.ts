// Writes records as fast as it can and prints the id of each one that was acknowledged, until it is killed.
import { writeSync } from "node:fs";
import { SqliteStore } from "../../src/store/sqlite/store.ts";

const [directory = "", writers = "1"] = process.argv.slice(2);
const store = new SqliteStore({ directory, report: (problem) => process.stderr.write(`${problem}\n`) });
const records = store.collection<{ padding: string }>({ name: "records", indexes: {} });

async function write(writer: number): Promise<never> {
  for (let number = 0; ; number++) {
    const id = `${writer}-${number}`;
    await store.commit([records.put(id, { padding: "x".repeat(500) }, { tenant: "x", expect: 0 })]);
    // Once for all of the line, which a kill cannot cut from the record.
    writeSync(1, `${id}\n`);
  }
}

await Promise.all(Array.from({ length: Number(writers) }, (_, writer) => write(writer)));
