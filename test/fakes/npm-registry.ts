import { createHash } from "node:crypto";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";

/** A registry with one version of each package, as much of it as `npm pack` asks for. */
export interface NpmRegistry extends AsyncDisposable {
  readonly url: string;
}

interface Package {
  readonly version: string;
  /** The packed package. */
  readonly tarball: Buffer;
  /** What the registry states; default: the tarball's own. */
  readonly integrity?: string;
}

export async function startNpmRegistry(packages: Readonly<Record<string, Package>>): Promise<NpmRegistry> {
  const server = createServer((request, response) => {
    const [, name = "", , file] = decodeURIComponent(request.url ?? "").split("/");
    const found = packages[name];
    if (found === undefined) {
      response.writeHead(404, { "content-type": "application/json" }).end('{"error":"Not found"}');
    } else if (file !== undefined) response.end(found.tarball);
    else response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify(packument(name, found)));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const packument = (name: string, { version, tarball, integrity }: Package): object => ({
    name,
    "dist-tags": { latest: version },
    versions: {
      [version]: {
        name,
        version,
        dist: {
          tarball: `${url}/${name}/-/${name}-${version}.tgz`,
          integrity: integrity ?? `sha512-${createHash("sha512").update(tarball).digest("base64")}`,
        },
      },
    },
  });
  return {
    url,
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
