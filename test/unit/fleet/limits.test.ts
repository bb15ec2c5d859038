import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { groupLimits } from "../../../src/fleet/limits.ts";

let root = "";
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), "cgroup-"));
});
afterEach(() => rm(root, { recursive: true, force: true }));

async function files(content: Record<string, string>): Promise<void> {
  for (const [path, text] of Object.entries(content)) {
    await mkdir(dirname(join(root, path)), { recursive: true });
    await writeFile(join(root, path), text);
  }
}

test("version 2: the tightest group on the way up counts, files that could be dropped are not used", async () => {
  await files({
    "proc/self/cgroup": "0::/outer/inner\n",
    "sys/fs/cgroup/outer/inner/memory.max": "max\n",
    "sys/fs/cgroup/outer/inner/cpu.max": "max 100000\n",
    "sys/fs/cgroup/outer/memory.max": "1000000\n",
    "sys/fs/cgroup/outer/memory.current": "400000\n",
    "sys/fs/cgroup/outer/memory.stat": "anon 1\ninactive_file 300000\n",
    "sys/fs/cgroup/outer/cpu.max": "150000 100000\n",
  });
  expect(await groupLimits(root)).toEqual({ cpus: 1.5, memoryBytes: 1_000_000, memoryUsedBytes: 100_000 });
});

test("version 1", async () => {
  await files({
    "proc/self/cgroup": "5:memory:/docker/abc\n4:cpu,cpuacct:/docker/abc\n0::/\n",
    "sys/fs/cgroup/memory/docker/abc/memory.limit_in_bytes": "2000000\n",
    "sys/fs/cgroup/memory/docker/abc/memory.usage_in_bytes": "500000\n",
    "sys/fs/cgroup/memory/docker/abc/memory.stat": "total_inactive_file 100000\n",
    "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
    "sys/fs/cgroup/cpu/docker/abc/cpu.cfs_quota_us": "200000\n",
    "sys/fs/cgroup/cpu/docker/abc/cpu.cfs_period_us": "100000\n",
    "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1\n",
    "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
  });
  expect(await groupLimits(root)).toEqual({ cpus: 2, memoryBytes: 2_000_000, memoryUsedBytes: 400_000 });
});

test("no control groups: no limits", async () => {
  expect(await groupLimits(root)).toEqual({ cpus: null, memoryBytes: null, memoryUsedBytes: null });
});
