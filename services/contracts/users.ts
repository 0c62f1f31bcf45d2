import { Type } from 'typebox';
import type { Static } from 'typebox';
import {
  defineContract,
  Email,
  EventTime,
  Id,
  ifMatch,
  Page,
  pageHeaders,
  PathId,
  Text,
  Time,
  Version,
} from '#platform/contract';

/** White space but for control characters. It is listed, because it is not the same in all languages. */
const blank = ' \\u00a0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000\\ufeff';
const unstorable = '\\u0000-\\u001f\\u007f\\ud800-\\udfff';

/** Well-formed text without control characters that does not begin or end with white space. */
export const namePattern = `^(?![${blank}])[^${unstorable}]*(?<![${blank}])$`;

const name = (minLength: number, maxLength: number) => Type.String({ minLength, maxLength, pattern: namePattern });

/** The least and the most characters of a username. */
export const usernameLength = [3, 50] as const;

export const UserInput = Type.Object(
  {
    username: name(...usernameLength),
    email: Email,
    firstName: name(1, 100),
    lastName: name(1, 100),
  },
  {
    additionalProperties: false,
    examples: [{ username: 'ada', email: 'ada@example.com', firstName: 'Ada', lastName: 'Lovelace' }],
  },
);
export type UserInput = Static<typeof UserInput>;

export const User = Type.Object({
  id: Id,
  username: Type.String(),
  email: Type.String(),
  firstName: Type.String(),
  lastName: Type.String(),
  status: Type.String({ examples: ['ACTIVE'] }),
  createdAt: Time,
  updatedAt: Time,
});
export type User = Static<typeof User>;

const byId = Type.Object({ id: PathId });
const one = {
  200: { description: 'The user', schema: User, headers: { ETag: 'the version, for If-Match' } },
};
const unknown = { 404: 'No such user' };
const changed = { 412: 'The user has changed' };
const taken = { 409: 'The username or the e-mail is taken' };

export const UserCreated = Type.Object({
  userId: Id,
  username: Text(),
  email: Text(),
  firstName: Text(),
  lastName: Text(),
  status: Text(),
  version: Version,
  createdAt: EventTime,
  updatedAt: EventTime,
});
export type UserCreated = Static<typeof UserCreated>;

const UserDeleted = Type.Object({ userId: Id, version: Version, deletedAt: EventTime });
type UserDeleted = Static<typeof UserDeleted>;

/** The contract of users. */
export const users = defineContract('users', {
  schemas: { User, UserInput },
  events: {
    'user.created': { summary: 'A user has registered', topics: ['user-events'], schema: UserCreated },
    'user.updated': { summary: 'A user has changed', topics: ['user-events'], schema: UserCreated },
    'user.deleted': { summary: 'A user was deleted', topics: ['user-events'], schema: UserDeleted },
  },
  operations: {
    createUser: {
      method: 'post',
      path: '/users',
      summary: 'Register a user',
      body: UserInput,
      responses: { 201: { description: 'The new user', schema: User, headers: { Location: 'where the user is' } } },
      problems: taken,
    },
    listUsers: {
      method: 'get',
      path: '/users',
      summary: 'List users, oldest first',
      query: Type.Object({ ...Page }),
      responses: { 200: { description: 'Users', schema: Type.Array(User), headers: pageHeaders } },
    },
    getUser: {
      method: 'get',
      path: '/users/{id}',
      summary: 'Read a user',
      params: byId,
      responses: one,
      problems: unknown,
    },
    getUserByUsername: {
      method: 'get',
      path: '/users/username/{username}',
      summary: 'Find a user by its username',
      params: Type.Object({ username: Text({ minLength: 1, maxLength: 50 }) }),
      responses: one,
      problems: unknown,
    },
    updateUser: {
      method: 'put',
      path: '/users/{id}',
      summary: 'Change a user',
      params: byId,
      headers: { 'if-match': ifMatch },
      body: UserInput,
      responses: one,
      problems: { ...unknown, ...taken, ...changed },
    },
    deleteUser: {
      method: 'delete',
      path: '/users/{id}',
      summary: 'Delete a user; its events remain',
      params: byId,
      headers: { 'if-match': ifMatch },
      responses: { 204: { description: 'Deleted' } },
      problems: { ...unknown, ...changed },
    },
  },
});
