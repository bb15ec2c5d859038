import { lookup as systemLookup } from "node:dns";
import { BlockList, isIP, type LookupFunction } from "node:net";

const closed = new BlockList();
// RFC 6890 and its successors: what is not a public unicast address. Those of NAT64 lead to the IPv4 address in them.
for (const [network, prefix] of [
  ["0.0.0.0", 8],
  ["10.0.0.0", 8],
  ["100.64.0.0", 10],
  ["127.0.0.0", 8],
  ["169.254.0.0", 16],
  ["172.16.0.0", 12],
  ["192.0.0.0", 24],
  ["192.0.2.0", 24],
  ["192.88.99.0", 24],
  ["192.168.0.0", 16],
  ["198.18.0.0", 15],
  ["198.51.100.0", 24],
  ["203.0.113.0", 24],
  ["224.0.0.0", 4],
  ["240.0.0.0", 4],
] as const) {
  closed.addSubnet(network, prefix, "ipv4");
  closed.addSubnet(`64:ff9b::${network}`, 96 + prefix, "ipv6");
}
// Of the global ones: those of protocols (Teredo), of documents, and 6to4.
for (const [network, prefix] of [
  ["2001::", 23],
  ["2001:db8::", 32],
  ["2002::", 16],
  ["3fff::", 20],
] as const)
  closed.addSubnet(network, prefix, "ipv6");

/** All other IPv6 addresses are private, site-local, multicast, obsolete or not given out. */
const open6 = new BlockList();
for (const [network, prefix] of [
  ["2000::", 3],
  ["64:ff9b::", 96],
  ["::ffff:0:0", 96],
] as const)
  open6.addSubnet(network, prefix, "ipv6");

/** Whether an address (not a name) belongs to this machine or to a network that is not public. */
export function isPrivateAddress(address: string): boolean {
  const bare = address.replace(/^\[|\]$/g, "").replace(/%.*$/, "");
  const family = isIP(bare);
  if (family === 6) return !open6.check(bare, "ipv6") || closed.check(bare, "ipv6");
  return family === 4 && closed.check(bare, "ipv4");
}

/** Whether a URL's host is private as it is written. Names other than localhost are judged when they are resolved. */
export const isPrivateHost = (host: string): boolean => /(^|\.)localhost\.?$/i.test(host) || isPrivateAddress(host);

export const PRIVATE_ADDRESS = "ERR_PRIVATE_ADDRESS";

/** `host`: as written in the requested URL. */
export function privateAddressError(host: string, address: string = host): Error & { readonly host: string } {
  const shown = address === host ? host : `${host} (${address})`;
  return Object.assign(
    new Error(
      `${shown} is an address of this machine or of a private network, which pulls do not reach unless \`--allow-private\` is given`,
    ),
    { code: PRIVATE_ADDRESS, host },
  );
}

/**
 * Resolves names but refuses those that lead into a private network. It judges the very address that is connected to:
 * a check before the connection could be fooled by a name that answers differently the second time.
 */
export const publicLookup: LookupFunction = (hostname, options, callback) => {
  systemLookup(hostname, { ...options, all: true }, (error, addresses) => {
    if (error) return callback(error, "", 0);
    const refused = addresses.find(({ address }) => isPrivateAddress(address));
    if (refused) return callback(privateAddressError(hostname, refused.address), "", 0);
    if (options.all) return callback(null, addresses);
    const [first] = addresses;
    return callback(null, first?.address ?? "", first?.family ?? 0);
  });
};
