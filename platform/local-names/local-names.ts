import type { IncomingHttpHeaders } from 'node:http';

/** Returns a sentence if a request names a foreign host, or comes from a foreign website. */
export type NameCheck = (headers: IncomingHttpHeaders) => string | undefined;

/** The names of this machine that nobody else can have: browsers never ask the DNS for them. */
const ownName = /^(localhost|[a-z0-9-]+(\.[a-z0-9-]+)*\.localhost|127\.\d{1,3}\.\d{1,3}\.\d{1,3}|\[::1\])\.?$/;

/** how many values of `Host` and `Origin` are remembered as known */
const maxKnown = 16;

/** Whether only this machine reaches a server that listens on an address. */
export function isLoopback(address: string): boolean {
  return address === '::1' || ownName.test(address);
}

/**
 * Checks `Host` and `Origin` for a server that only this machine reaches. A browser on this machine reaches it for every
 * website: such a request names the website as its origin, or, where the website's name points to this machine (DNS rebinding),
 * as its host. A client that is no browser, such as curl, sends what it was asked for.
 * @param trustedHosts host names in lower case, separated by commas, that are this server's, too: of a tunnel or a proxy
 */
export function ownNamesOnly(trustedHosts = ''): NameCheck {
  const trusted = new Set(trustedHosts.split(',').filter((name) => name !== ''));
  const known = new Set<string>();

  function isOwn(authority: string): boolean {
    if (known.has(authority)) return true;
    const host = authority.replace(/:\d*$/, '').toLowerCase();
    if (!ownName.test(host) && !trusted.has(host)) return false;
    if (known.size < maxKnown) known.add(authority);
    return true;
  }

  return ({ host, origin }) => {
    if (host !== undefined && !isOwn(host)) return foreign(`The host ${host} is not a name of this server`);
    if (origin !== undefined && !isOwn(origin.replace(/^https?:\/\//, ''))) {
      return foreign(`The website ${origin} may not use this server`);
    }
    return undefined;
  };
}

const foreign = (reason: string) => `${reason}: it is for this machine alone. TRUSTED_HOSTS adds names.`;
