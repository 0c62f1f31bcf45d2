// The baseline of the machine: only node:http, JSON.parse and one INSERT per request.
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Pool } from 'pg';

const pool = new Pool({ connectionString: process.env['DATABASE_URL'], max: 16 });
await pool.query('DROP TABLE IF EXISTS bench_bare');
await pool.query(
  'CREATE TABLE bench_bare (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, user_id bigint, data text)',
);

const insert = { name: 'insert', text: 'INSERT INTO bench_bare (user_id, data) VALUES ($1, $2) RETURNING id' };
const server = createServer((request, response) => {
  const chunks: Buffer[] = [];
  request.on('data', (chunk: Buffer) => chunks.push(chunk));
  request.on('end', () => {
    const text = Buffer.concat(chunks).toString();
    const { userId } = JSON.parse(text) as { userId: number };
    pool.query<{ id: string }>({ ...insert, values: [userId, text] }).then(
      ({ rows }) => response.writeHead(201, { 'content-type': 'application/json' }).end(JSON.stringify(rows[0])),
      () => response.writeHead(500).end(),
    );
  });
});
server.listen(0, '127.0.0.1', () => process.send?.((server.address() as AddressInfo).port));
process.on('disconnect', () => process.exit(0));
