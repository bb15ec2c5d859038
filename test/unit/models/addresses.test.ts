import { describe, expect, it } from "vitest";
import { isPrivateAddress, isPrivateHost, publicLookup } from "../../../src/models/pull/addresses.ts";

describe("addresses", () => {
  it.each([
    "127.0.0.1",
    "127.8.9.1",
    "0.0.0.0",
    "10.1.2.3",
    "172.16.0.1",
    "172.31.255.255",
    "192.168.1.1",
    "169.254.169.254",
    "100.64.0.1",
    "224.0.0.1",
    "255.255.255.255",
    "::1",
    "[::1]",
    "::",
    "fd00::1",
    "fe80::1%eth0",
    "::ffff:10.0.0.1",
    "::ffff:7f00:1",
    "192.0.2.1",
    "198.51.100.1",
    "203.0.113.1",
    "198.19.0.1",
    "240.0.0.1",
    "::10.0.0.1",
    "::1.1.1.1",
    "::ffff:0:127.0.0.1",
    "64:ff9b::10.0.0.1",
    "64:ff9b::7f00:1",
    "64:ff9b:1::1",
    "2002:7f00:1::",
    "2002:0101:0101::1",
    "2001::1",
    "2001:0:4136:e378:8000:63bf:3fff:fdd2",
    "2001:db8::1",
    "3fff::1",
    "fec0::1",
    "ff02::1",
    "100::1",
    "5f00::1",
  ])("%s is private", (address) => {
    expect(isPrivateAddress(address)).toBe(true);
  });

  it.each([
    "1.1.1.1",
    "172.32.0.1",
    "172.15.0.1",
    "100.128.0.1",
    "2606:4700::1111",
    "[2606:4700::1111]",
    "::ffff:1.1.1.1",
    "64:ff9b::1.1.1.1",
    "2001:4860:4860::8888",
    "3ffe::1",
  ])("%s is public", (address) => {
    expect(isPrivateAddress(address)).toBe(false);
  });

  it.each([
    ["localhost", true],
    ["LOCALHOST.", true],
    ["a.localhost", true],
    ["localhost.example.com", false],
    ["example.com", false],
    // What the URL parser makes of http://0x7f.1/ and http://2130706433/.
    [new URL("http://0x7f.1/").hostname, true],
    [new URL("http://2130706433/").hostname, true],
  ])("host %s", (host, expected) => {
    expect(isPrivateHost(host)).toBe(expected);
  });

  it("that a name leads to are judged when it is resolved", async () => {
    const looked = new Promise<NodeJS.ErrnoException | null>((resolve) =>
      publicLookup("localhost", { all: true }, (error) => resolve(error)),
    );
    expect(await looked).toMatchObject({
      code: "ERR_PRIVATE_ADDRESS",
      message: expect.stringMatching(/^localhost \((127\.0\.0\.1|::1)\)/),
    });
  });
});
