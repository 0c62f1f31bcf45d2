import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';

import { eventServices } from '#platform/declarations';

import { Demo } from './demo.ts';
import { describeError } from './fault.ts';
import type { Listener } from './listener.ts';
import { lockFolder } from './lock.ts';
import { formatLine, formatOwnLine, type LogStyle } from './log-format.ts';
import { OnlyService } from './only.ts';
import { parseOptions, USAGE, type Options } from './options.ts';
import { Platform } from './platform.ts';
import { welcomeScreen } from './screen.ts';
import { listenForStop } from './signals.ts';

const root = dirname(dirname(fileURLToPath(import.meta.url)));

async function main(args: string[]): Promise<void> {
  const names = eventServices().map(({ metadata }) => metadata.name);
  const options = parseOptions(args, root, names, process.env);
  if (options.help) return console.log(USAGE);
  const listener = consoleListener(names);
  if (options.only === undefined) await runPlatform(options, listener);
  else await runOnly(options.only, options, listener);
}

function consoleListener(services: string[]): Listener {
  const style: LogStyle = {
    colour: process.stdout.hasColors?.() ?? Boolean(process.env['FORCE_COLOR']),
    names: ['millrace', ...services],
  };
  // A closed terminal must not end this process before everything is stopped.
  process.stdout.on('error', () => undefined);
  return {
    say: (level, line) => console.log(formatOwnLine(level, line, style)),
    line: (service, line) => console.log(formatLine(service, line, style)),
  };
}

async function runPlatform(options: Options, listener: Listener): Promise<void> {
  const unlock = lockFolder(options.data);
  const platform = new Platform(root, options, listener);
  process.once('exit', unlock);
  const started = performance.now();
  await supervise(platform, listener, () => {
    console.log(welcomeScreen({ ...options, platform, seconds: (performance.now() - started) / 1000 }));
    if (!options.demo) return {};
    const demo = new Demo(platform.gatewayUrl, options.rate, (level, line) => listener.say(level, line));
    demo.start();
    return { beforeStop: () => demo.stop() };
  });
}

async function runOnly(name: string, options: Options, listener: Listener): Promise<void> {
  const service = new OnlyService(root, name, { options, listener });
  await supervise(service, listener, () => {
    const debuggers = service.inspectPort ? `, open to debuggers at 127.0.0.1:${service.inspectPort}` : '';
    listener.say('info', `${name} runs here at ${service.url}${debuggers}; Ctrl-C returns it to the platform`);
    return { end: service.lost };
  });
}

/** Runs the platform or a service until a request to stop, and always stops it. */
async function supervise(
  run: { start(): Promise<void>; stop(): Promise<void>; kill(): void },
  listener: Listener,
  onUp: () => { end?: Promise<string>; beforeStop?: () => void },
): Promise<void> {
  const requests = listenForStop();
  // However this process ends, its children and the lock on their data must not outlive it.
  process.prependOnceListener('exit', () => run.kill());
  void requests.second.then(() => process.exit(130));
  try {
    const asked = await Promise.race([run.start(), requests.first]);
    let reason = asked ?? '';
    if (asked === undefined) {
      const { end, beforeStop } = onUp();
      reason = await Promise.race([requests.first, ...(end ? [end] : [])]);
      beforeStop?.();
    }
    listener.say('info', `stopping (${reason}); repeat it to stop at once`);
  } finally {
    await run.stop();
    requests.release();
  }
  listener.say('info', 'stopped');
}

try {
  await main(process.argv.slice(2));
} catch (error) {
  console.error(describeError(error));
  process.exitCode = 1;
}
