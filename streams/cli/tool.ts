import { parseArgs } from 'node:util';
import type { ParseArgsConfig } from 'node:util';
import { eventServices, streamQueryFiles } from '#platform/declarations';
import { KafkaUnreachable } from '#platform/kafka';
import { QueryFilesError, queryTopics, runnerOf } from '#streams/language';
import { explain } from './explain.ts';
import { ToolFault } from './fault.ts';
import { readQueries, readText } from './files.ts';
import { dumpTopic, fetchWindows, windowsText } from './remote.ts';
import { runJson, runQueries, runText } from './run.ts';
import { readDump } from './topic-dump.ts';

const usage = `Usage: npm run --silent query -- <command>

  explain [FILE...]                     what stream queries do, in plain words; without a file, those that are declared
  run FILE... --topic-dump DUMP         what they make of a recorded topic, without Kafka or a database
      --topic NAME                      the topic of events that do not say theirs
      --json                            a JSON object a line
  windows NAME                          the windows of a query, from the running service
      --key KEY  --from TIME  --to TIME  --limit N
      --url URL                         default that of npm start
      --json                            a JSON object a line
  dump TOPIC                            the events of a topic as a recording, for run
      --brokers HOST:PORT               default KAFKA_BROKERS

A recording has an event a line, in the order in which they are taken:
  {"id":"order-1-1","type":"order.created","time":"2026-01-01T10:00:00Z","partition":0,"data":{"totalAmount":12.5}}
id, type, time and data are required; topic, partition, key, source and subject may be there.

Exit codes: 0 done; 1 a mistake in a file, or a service that does not answer; 2 a command that is not understood.`;

/** Where `npm start` runs the service with the queries. */
function localUrl(): string {
  const runner = runnerOf(eventServices());
  if (!runner) throw new ToolFault('No declared service runs stream queries: name one with --url.', 2);
  return `http://127.0.0.1:${runner.spec.port}`;
}

/** Where the command writes: each text is a line, or lines. */
export interface Output {
  out(text: string): void;
  err(text: string): void;
}

type Options = NonNullable<ParseArgsConfig['options']>;

/** Parses the rest of a command line. @throws ToolFault if it is not valid */
function parse(args: string[], options: Options) {
  try {
    const { values, positionals } = parseArgs({ args, options, strict: true, allowPositionals: true });
    return { values: values as Record<string, string | boolean | undefined>, positionals };
  } catch (error) {
    throw new ToolFault(`${(error as Error).message.split('. ')[0]}.\n\n${usage}`, 2);
  }
}

const text = { type: 'string' } as const;
const flag = { type: 'boolean' } as const;

const commands: Record<string, (args: string[], output: Output) => Promise<void> | void> = {
  explain(args, { out }) {
    const { positionals } = parse(args, {});
    const files = positionals.length > 0 ? positionals : streamQueryFiles().map(({ file }) => file);
    const queries = readQueries(files, queryTopics());
    out(queries.map(explain).join('\n\n'));
  },

  run(args, { out }) {
    const { values, positionals } = parse(args, { 'topic-dump': text, topic: text, json: flag });
    const file = values['topic-dump'];
    if (positionals.length === 0) throw new ToolFault(`run needs the file of a query.\n\n${usage}`, 2);
    if (typeof file !== 'string') throw new ToolFault(`run needs --topic-dump, a recording.\n\n${usage}`, 2);
    const queries = readQueries(positionals);
    const read = new Set(queries.flatMap(({ from }) => from.map(({ topic }) => topic)));
    const only = read.size === 1 ? [...read][0] : undefined;
    const events = readDump(file, readText(file), (values['topic'] as string | undefined) ?? only);
    const outcomes = runQueries(queries, events, Date.now());
    out(outcomes.map(values['json'] ? runJson : runText).join(values['json'] ? '\n' : '\n\n'));
  },

  async windows(args, { out }) {
    const { values, positionals } = parse(args, {
      key: text,
      from: text,
      to: text,
      limit: text,
      url: text,
      json: flag,
    });
    const [name, ...others] = positionals;
    if (name === undefined || others.length > 0) throw new ToolFault(`windows needs one name.\n\n${usage}`, 2);
    const { url = localUrl(), json, ...filter } = values as Record<string, string>;
    if (!URL.canParse(url)) throw new ToolFault(`--url is no address: ${url}`, 2);
    const windows = await fetchWindows({ url, name, ...filter });
    if (json) for (const window of windows) out(JSON.stringify(window));
    else out(windowsText(windows));
  },

  async dump(args, { out, err }) {
    const { values, positionals } = parse(args, { brokers: text });
    const [topic, ...others] = positionals;
    if (topic === undefined || others.length > 0) throw new ToolFault(`dump needs one topic.\n\n${usage}`, 2);
    const brokers = values['brokers'] ?? process.env['KAFKA_BROKERS'];
    if (typeof brokers !== 'string') throw new ToolFault('dump needs --brokers, or KAFKA_BROKERS to be set.', 2);
    const { written, skipped } = await dumpTopic(brokers, topic, out);
    const left = skipped > 0 ? `; ${skipped} messages are no events and were left out` : '';
    err(`${written} events${left}`);
  },
};

/**
 * Runs a command of the tool.
 * @param args the command line, without the program
 * @returns the exit code
 */
export async function queryTool([name = '', ...args]: string[], output: Output): Promise<number> {
  if (['', 'help', '--help', '-h'].includes(name) || args.includes('--help')) {
    output.out(usage);
    return name === '' ? 2 : 0;
  }
  const command = Object.hasOwn(commands, name) ? commands[name] : undefined;
  try {
    if (!command) throw new ToolFault(`There is no command ${name}.\n\n${usage}`, 2);
    await command(args, output);
    return 0;
  } catch (error) {
    if (error instanceof ToolFault) {
      output.err(error.message);
      return error.exitCode;
    }
    if (error instanceof QueryFilesError) {
      for (const { file, line, message } of error.faults) output.err(`${file}:${line}: ${message}`);
      return 1;
    }
    if (error instanceof KafkaUnreachable) {
      output.err(error.message);
      return 1;
    }
    throw error;
  }
}
