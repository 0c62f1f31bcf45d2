import type { User, UserInput } from '#contracts/users.ts';
import type { users } from '#contracts/users.ts';
import { defaultLimit } from '#platform/contract';
import type { Handlers } from '#platform/http';
import { conflict, entityTag, nextPage, notFound, parseIfMatch, preconditionFailed } from '#platform/http';
import type { Reply } from '#platform/http';
import type { UserRow } from './events.ts';
import { Taken } from './store.ts';
import type { UserStore } from './store.ts';
import { canonicalUsername, isCanonical } from './username.ts';

/** The operations of the users contract. `wakeRelay` is called after each commit that left an event in the outbox. */
export function createHandlers(store: UserStore, wakeRelay: () => void): Handlers<typeof users.operations> {
  /** @throws Problem 412 if the user exists in another version, else 404 */
  async function unchanged(id: string, versions: number[] | undefined): Promise<never> {
    const user = versions && (await store.find(BigInt(id)));
    if (!user) return unknownUser(id);
    throw preconditionFailed(`The user has changed: its version is ${user.version}`);
  }

  /** A username that a user has already may stay as it is. @throws Problem 400 */
  async function canonical(id: string, input: UserInput): Promise<UserInput> {
    if (isCanonical(input.username)) return input;
    const user = await store.find(BigInt(id));
    return user?.username === input.username ? input : { ...input, username: canonicalUsername(input.username) };
  }

  return {
    async createUser({ body }) {
      const input = { ...body, username: canonicalUsername(body.username) };
      const user = await orConflict(() => store.create(input), input);
      wakeRelay();
      const headers = { Location: `/users/${user.id}`, ETag: entityTag(user.version) };
      return { status: 201, headers, body: present(user) };
    },
    async listUsers({ query: { limit = defaultLimit, cursor } }) {
      const users = await store.list(BigInt(cursor ?? 0), limit + 1);
      const page = users.slice(0, limit);
      const next = users.length > limit ? page.at(-1)?.id : undefined;
      return { headers: nextPage('/users', { limit }, next), body: page.map(present) };
    },
    async getUser({ params }) {
      return tagged((await store.find(BigInt(params.id))) ?? unknownUser(params.id));
    },
    async getUserByUsername({ params: { username } }) {
      const user = await store.findByUsername(username);
      if (!user) throw notFound(`There is no user named ${username}`);
      return tagged(user);
    },
    async updateUser({ params, body, header }) {
      const versions = parseIfMatch(header('if-match'));
      const input = await canonical(params.id, body);
      const user = await orConflict(() => store.update(BigInt(params.id), input, versions), input);
      if (!user) return unchanged(params.id, versions);
      wakeRelay();
      return tagged(user);
    },
    async deleteUser({ params, header }) {
      const versions = parseIfMatch(header('if-match'));
      if (!(await store.delete(BigInt(params.id), versions))) return unchanged(params.id, versions);
      wakeRelay();
      return { status: 204 };
    },
  };
}

function unknownUser(id: string): never {
  throw notFound(`There is no user ${id}`);
}

async function orConflict<T>(change: () => Promise<T>, input: UserInput): Promise<T> {
  try {
    return await change();
  } catch (error) {
    if (!(error instanceof Taken)) throw error;
    const { field } = error;
    const name = field === 'email' ? 'e-mail' : field;
    throw conflict(`The ${name} ${input[field]} is taken`, [{ field, message: 'is taken' }]);
  }
}

function tagged(user: UserRow): Reply {
  return { headers: { ETag: entityTag(user.version) }, body: present(user) };
}

/** A user as the interface shows it. */
function present(user: UserRow): User {
  return {
    id: Number(user.id),
    username: user.username,
    email: user.email,
    firstName: user.firstName,
    lastName: user.lastName,
    status: user.status,
    createdAt: user.createdAt.toISOString(),
    updatedAt: user.updatedAt.toISOString(),
  };
}
