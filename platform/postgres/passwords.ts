import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';

/**
 * The passwords that may be a role's now. A password that is rotated is in the mounted Secret, as the next one, before PostgreSQL
 * takes it; and a kubelet brings a changed Secret only within a minute or two. So what was taken last is tried first, then what the
 * Secret says, then what the URL says.
 */
export class Passwords {
  readonly #url: string;
  readonly #secrets: string | undefined;
  #taken: string | undefined;
  readonly #refused = new Set<string>();

  /** @param secrets the folder below which Secrets of databases are mounted, one folder each */
  constructor(url: string, secrets: string | undefined) {
    this.#url = url;
    this.#secrets = URL.canParse(url) ? secrets : undefined;
  }

  /** The one to try next; undefined where the URL is all that there is to say. */
  choose(): string | undefined {
    if (!URL.canParse(this.#url)) return undefined;
    const all = this.#candidates();
    const next = all.find((one) => !this.#refused.has(one));
    if (next === undefined) this.#refused.clear(); // the next attempt begins again
    return next ?? all[0];
  }

  taken(password: string | undefined): void {
    this.#taken = password;
    this.#refused.clear();
  }

  /** @returns whether there is another one to try */
  refused(password: string | undefined): boolean {
    if (password === undefined) return false;
    this.#refused.add(password);
    return this.#candidates().some((one) => !this.#refused.has(one));
  }

  #candidates(): string[] {
    const { password } = new URL(this.#url);
    const all = [this.#taken, ...this.#mounted(), decodeURIComponent(password)];
    return [...new Set(all.filter((one) => one !== undefined && one !== ''))] as string[];
  }

  #mounted(): (string | undefined)[] {
    const { username, pathname } = new URL(this.#url);
    for (const folder of foldersOf(this.#secrets)) {
      const isOf = valueOf(folder, 'database') === decodeURIComponent(pathname.slice(1));
      if (isOf && valueOf(folder, 'username') === decodeURIComponent(username))
        return [valueOf(folder, 'password'), valueOf(folder, 'nextPassword')];
    }
    return [];
  }
}

function foldersOf(secrets: string | undefined): string[] {
  if (secrets === undefined) return [];
  try {
    return readdirSync(secrets).map((name) => join(secrets, name));
  } catch {
    return []; // nothing is mounted
  }
}

/** A key of a mounted Secret; undefined where it has none. */
function valueOf(folder: string, key: string): string | undefined {
  try {
    return readFileSync(join(folder, key), 'utf8');
  } catch {
    return undefined;
  }
}
