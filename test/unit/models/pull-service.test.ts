import { expect, it } from "vitest";
import type { Configured } from "../../../src/models/configure.ts";
import type { PulledModel, PullOptions } from "../../../src/models/pull.ts";
import { PullService, type PullStatus } from "../../../src/models/pull-service.ts";

const pulled: PulledModel = {
  name: "m",
  file: "/w/m.gguf",
  projector: null,
  bytes: 10,
  sha256: "0".repeat(64),
  reference: "hf:a/b/m.gguf",
  source: "hub",
  licence: null,
  alreadyPresent: false,
};
const configured: Configured = { model: "m", kind: "chat", file: "/c/m.toml", written: true, problem: null };

/** Pulls that end when the test says so. */
function scripted() {
  const running: { reference: string; options: Partial<PullOptions>; end: PromiseWithResolvers<PulledModel> }[] = [];
  const service = new PullService({
    pull: (reference, options) => {
      const end = Promise.withResolvers<PulledModel>();
      options.signal?.addEventListener("abort", () => end.reject(options.signal?.reason));
      running.push({ reference, options, end });
      return end.promise;
    },
    configure: async () => configured,
  });
  return { service, running };
}

it("runs a pull once however many ask, and tells each of them how it goes", async () => {
  const { service, running } = scripted();
  const { id } = service.start({ reference: "hf:a/b/m.gguf" });
  expect(service.start({ reference: "hf:a/b/m.gguf" }).id).toBe(id);
  expect(service.start({ reference: "hf:a/b/m.gguf", name: "other" }).id).not.toBe(id);
  const followers = [service.follow(id), service.follow(id)].map(async (statuses) => {
    const seen: PullStatus[] = [];
    for await (const status of statuses) seen.push(status);
    return seen;
  });
  await Promise.resolve();
  running[0]?.options.onProgress?.({ phase: "download", source: "hub", bytes: 4, totalBytes: 10 });
  running[0]?.end.resolve(pulled);
  for (const seen of await Promise.all(followers))
    expect(seen.at(-1)).toMatchObject({ state: "done", bytes: 10, totalBytes: 10, result: pulled, configured });
  expect(await service.result(id)).toEqual(pulled);
  expect(running).toHaveLength(2);
});

it("ends a cancelled pull for everybody, and begins anew when it is asked for again", async () => {
  const { service, running } = scripted();
  const { id } = service.start({ reference: "acme/tiny" });
  await Promise.resolve();
  service.cancel(id);
  await expect(service.result(id)).rejects.toMatchObject({ code: "pull_failed" });
  expect(service.get(id)).toMatchObject({
    state: "cancelled",
    error: { message: "The pull of acme/tiny was cancelled." },
  });
  expect(service.start({ reference: "acme/tiny" }).id).not.toBe(id);
  expect(running).toHaveLength(2);
});

it("is not joined once it is cancelled, however long it takes to end", async () => {
  const ends: PromiseWithResolvers<PulledModel>[] = [];
  const service = new PullService({
    pull: () => {
      const end = Promise.withResolvers<PulledModel>();
      ends.push(end);
      return end.promise;
    },
    configure: async () => configured,
  });
  const { id } = service.start({ reference: "acme/tiny" });
  await Promise.resolve();
  service.cancel(id);
  const again = service.start({ reference: "acme/tiny" });
  expect(again.id).not.toBe(id);
  ends[1]?.resolve(pulled);
  expect(await service.result(again.id)).toEqual(pulled);
  ends[0]?.reject(new Error("it has noticed"));
});

it("keeps why a pull failed", async () => {
  const { service, running } = scripted();
  const { id } = service.start({ reference: "acme/tiny" });
  await Promise.resolve();
  running[0]?.end.reject(Object.assign(new Error("full"), { code: "ENOSPC" }));
  await expect(service.result(id)).rejects.toThrow("full");
  expect(service.get(id)).toMatchObject({ state: "failed", error: { code: "disk_full" } });
});

it("writes no model file where none is wanted", async () => {
  const { service, running } = scripted();
  const { id } = service.start({ reference: "acme/tiny", configure: false });
  await Promise.resolve();
  running[0]?.end.resolve(pulled);
  await service.result(id);
  expect(service.get(id)).toMatchObject({ state: "done", configured: null });
});

it("runs three at a time; the others wait and can be cancelled", async () => {
  const { service, running } = scripted();
  const ids = ["a", "b", "c", "d"].map((name) => service.start({ reference: `acme/${name}` }).id);
  await Promise.resolve();
  expect(service.list().map(({ state }) => state)).toEqual(["running", "running", "running", "waiting"]);
  service.cancel(ids[3] ?? "");
  expect(service.get(ids[3] ?? "").state).toBe("cancelled");
  running[0]?.end.resolve(pulled);
  await expect(service.result(ids[3] ?? "")).rejects.toMatchObject({ code: "pull_failed" });
  expect(running).toHaveLength(3);
});

it.each(["./x.gguf", "/etc/passwd", "~/x.gguf", "secret/x.gguf"])("refuses %j", (reference) => {
  expect(() => scripted().service.start({ reference })).toThrow(expect.objectContaining({ code: "usage" }));
});

it("cancels everything when it is closed", async () => {
  const { service } = scripted();
  const { id } = service.start({ reference: "acme/tiny" });
  await service.close();
  expect(service.get(id)).toMatchObject({ state: "cancelled", error: { code: "shutting_down" } });
});
