import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';

import { Demo } from './demo.ts';
import { describeError } from './fault.ts';
import { lockFolder } from './lock.ts';
import { formatLine, formatOwnLine, type LogStyle } from './log-format.ts';
import { parseOptions, USAGE, type Options } from './options.ts';
import { Platform, type Listener } from './platform.ts';
import { welcomeScreen } from './screen.ts';
import { listenForStop } from './signals.ts';

const root = dirname(dirname(fileURLToPath(import.meta.url)));

async function main(args: string[]): Promise<void> {
  const options = parseOptions(args, root);
  if (options.help) console.log(USAGE);
  else await run(options);
}

async function run(options: Options): Promise<void> {
  const style: LogStyle = {
    colour: process.stdout.hasColors?.() ?? Boolean(process.env['FORCE_COLOR']),
    names: ['millrace'],
  };
  const listener: Listener = {
    say: (level, line) => console.log(formatOwnLine(level, line, style)),
    line: (service, line) => console.log(formatLine(service, line, style)),
  };
  // A terminal that is gone must not end us before everything is stopped.
  process.stdout.on('error', () => undefined);

  const unlock = lockFolder(options.data);
  const requests = listenForStop();
  const platform = new Platform(root, options, listener);
  style.names.push(...platform.services.map(({ metadata }) => metadata.name));
  // Whatever ends this process, its children do not outlive it.
  process.once('exit', () => {
    platform.kill();
    unlock();
  });
  void requests.second.then(() => process.exit(130));

  try {
    const started = performance.now();
    const reason = await Promise.race([platform.start(), requests.first]);
    if (reason === undefined) {
      console.log(welcomeScreen({ ...options, platform, seconds: (performance.now() - started) / 1000 }));
      const demo = options.demo
        ? new Demo(platform.door, options.rate, (level, line) => listener.say(level, line))
        : undefined;
      demo?.start();
      await requests.first;
      demo?.stop();
    }
    listener.say('info', `stopping (${await requests.first}); once more to stop at once`);
  } finally {
    await platform.stop();
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
