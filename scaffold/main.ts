// npm run new: makes a service, a stream query or an event type, and a copy of the project without its shop.
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';

import { contracts } from '#contracts/index.ts';
import { describeError, Fault } from '#local/fault.ts';

import type { Changes } from './changes.ts';
import { newEvent } from './event.ts';
import { newQuery } from './query.ts';
import { newService } from './service.ts';

const root = join(import.meta.dirname, '..');
/** A copy without the shop does not have this file. */
const shopFree = join(import.meta.dirname, 'shop-free/copy.ts');

const usage = `Usage: npm run new -- service NAME [--topic TOPIC] [--consumes TOPIC,...]
       npm run new -- query NAME [--topic TOPIC]
       npm run new -- event SERVICE TYPE${existsSync(shopFree) ? '\n       npm run new -- shop-free FOLDER' : ''}

  service    a service with a contract, a database, events, and, if it consumes topics, a projection of them;
             its own topic is NAME-events by default
  query      a stream query that counts the events of a topic, to begin with
  event      an event type in the contract of a service, such as order.returned
${existsSync(shopFree) ? '  shop-free  a copy of the project with one small service in place of the shop\n' : ''}`;

interface Outcome {
  changes: Changes | undefined;
  /** the subject of the changes */
  what: string;
  /** the next commands */
  next: string[];
}

async function run(args: string[]): Promise<void> {
  const { values, positionals } = parse(args);
  const [command, ...names] = positionals;
  if (values.help || command === undefined) return console.log(usage);
  if (command === 'shop-free' && existsSync(shopFree)) {
    const { copyWithoutShop } = (await import(shopFree)) as {
      copyWithoutShop(root: string, folder: string): Promise<string>;
    };
    const [folder] = exactly(names, ['FOLDER'], command);
    return console.log(await copyWithoutShop(root, folder!));
  }
  const make = commands[command];
  if (!make) throw new Fault(`"${command}" is unknown.`, { hint: usage });
  const { changes, what, next } = make(names, values);
  if (!changes) return console.log(`${what} is there already: nothing was changed.`);
  const written = await changes.write();
  console.log(`${written.join('\n')}\n\n${what} is made. Next:\n\n${next.map((line) => `  ${line}`).join('\n')}`);
}

const commands: Record<string, (names: string[], options: { topic?: string; consumes?: string[] }) => Outcome> = {
  service(names, { topic, consumes = [] }) {
    const [name = ''] = exactly(names, ['NAME'], 'service');
    const topics = consumes.flatMap((list) => list.split(',')).filter(Boolean);
    const request = { name, topic: topic ?? `${name}-events`, consumes: topics };
    return {
      changes: newService(root, request, contracts),
      what: `The service ${name}`,
      next: [`npm test -- services/${name}`, 'npm run check', 'npm start'],
    };
  },
  query(names, { topic }) {
    const [name = ''] = exactly(names, ['NAME'], 'query');
    return {
      changes: newQuery(root, name, topic),
      what: `The stream query ${name}`,
      next: [`npm run query -- explain charts/millrace/files/queries/${name}.yaml`, 'npm start'],
    };
  },
  event(names) {
    const [service = '', type = ''] = exactly(names, ['SERVICE', 'TYPE'], 'event');
    return {
      changes: newEvent(root, service, type, contracts.contracts),
      what: `The event type ${type}`,
      next: [
        `declare its data in services/contracts/${service}.ts`,
        `write it to the outbox with appendToOutbox of #platform/outbox, in the transaction of the change`,
        'npm run check',
      ],
    };
  },
};

function parse(args: string[]) {
  try {
    return parseArgs({
      args,
      allowPositionals: true,
      options: {
        topic: { type: 'string' },
        consumes: { type: 'string', multiple: true },
        help: { type: 'boolean', short: 'h' },
      },
    });
  } catch (error) {
    throw new Fault(`${(error as Error).message.split('. ')[0]?.replace(/\.$/, '')}.`, { hint: usage });
  }
}

function exactly(given: string[], wanted: string[], command: string): string[] {
  if (given.length === wanted.length) return given;
  throw new Fault(`npm run new -- ${command} takes ${wanted.join(' and ')}, and nothing else.`, { hint: usage });
}

try {
  await run(process.argv.slice(2));
} catch (error) {
  console.error(describeError(error));
  process.exitCode = 1;
}
