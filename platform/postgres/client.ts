import type { Socket } from 'node:net';
import pg from 'pg';
import type { ClientBase, ClientConfig } from 'pg';

import { PlatformError } from '#platform/errors';
import { connectionOf } from './connection.ts';

/** How long a server may take until it accepts a connection, in milliseconds. */
const connectMs = 30_000;

/** How long it may take to end a session, in milliseconds: then the connection is closed without its answer. */
const goodbyeMs = 1_000;

/** Runs `work` with a connection of its own, whose session ends afterwards, and with it its locks. */
export async function withClient<T>(url: string, work: (client: pg.Client) => Promise<T>): Promise<T> {
  return await withConnection({ ...connectionOf(url), connectionTimeoutMillis: connectMs }, work);
}

/**
 * The same, for what pg connects with.
 * @param answerMs how long the server may take to answer a statement, in milliseconds; default: without end. A session whose server is silent
 * is over: what `work` still asks it fails at once
 */
export async function withConnection<T>(
  settings: ClientConfig,
  work: (client: pg.Client) => Promise<T>,
  answerMs?: number,
): Promise<T> {
  const client = new pg.Client(settings);
  client.on('error', () => undefined);
  await client.connect();
  if (answerMs !== undefined) endWhenSilent(client, answerMs);
  try {
    return await work(client);
  } finally {
    await endClient(client);
  }
}

/** Ends the session of a client. A silent server keeps nobody waiting for it. */
export async function endClient(client: pg.Client): Promise<void> {
  const timer = setTimeout(() => streamOf(client).destroy(), goodbyeMs);
  try {
    await client.end();
  } finally {
    clearTimeout(timer);
  }
}

/**
 * Destroys a connection on which a statement runs and nothing comes: PostgreSQL ends each statement in time, unless its process
 * or the network hangs. What waits for the connection fails at once.
 */
export function endWhenSilent(client: ClientBase, silentMs: number): void {
  const stream = streamOf(client);
  const isIdle = () => (client as { readyForQuery?: boolean }).readyForQuery !== false;
  stream.setTimeout(silentMs, () => {
    if (isIdle()) return;
    stream.destroy(
      new PlatformError('ERR_DATABASE_SILENT', `PostgreSQL has not answered a statement for ${silentMs} ms`),
    );
  });
}

/** What pg's types leave out. */
const streamOf = (client: ClientBase) => (client as ClientBase & { connection: { stream: Socket } }).connection.stream;
