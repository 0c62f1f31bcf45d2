import type { User, UserInput } from '#contracts/users.ts';
import type { users } from '#contracts/users.ts';
import { defaultLimit } from '#platform/contract';
import type { Handlers } from '#platform/http';
import { conflict, nextPage, notFound } from '#platform/http';
import type { UserRow } from './events.ts';
import { Taken } from './store.ts';
import type { UserStore } from './store.ts';

/** The operations of the users contract. `wakeRelay` is called after each commit that left an event in the outbox. */
export function createHandlers(store: UserStore, wakeRelay: () => void): Handlers<typeof users.operations> {
  return {
    async createUser({ body }) {
      const user = await orConflict(() => store.create(body), body);
      wakeRelay();
      return { status: 201, headers: { Location: `/users/${user.id}` }, body: present(user) };
    },
    async listUsers({ query: { limit = defaultLimit, cursor } }) {
      const users = await store.list(BigInt(cursor ?? 0), limit + 1);
      const page = users.slice(0, limit);
      const next = users.length > limit ? page.at(-1)?.id : undefined;
      return { headers: nextPage('/users', { limit }, next), body: page.map(present) };
    },
    async getUser({ params }) {
      return { body: present((await store.find(BigInt(params.id))) ?? unknownUser(params.id)) };
    },
    async getUserByUsername({ params: { username } }) {
      const user = await store.findByUsername(username);
      if (!user) throw notFound(`There is no user named ${username}`);
      return { body: present(user) };
    },
    async updateUser({ params, body }) {
      const user = await orConflict(() => store.update(BigInt(params.id), body), body);
      if (!user) return unknownUser(params.id);
      wakeRelay();
      return { body: present(user) };
    },
    async deleteUser({ params }) {
      if (!(await store.delete(BigInt(params.id)))) return unknownUser(params.id);
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
