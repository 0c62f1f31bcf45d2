import { relative } from 'node:path';

import type { Supervised } from './supervised.ts';
import type { Listener } from './listener.ts';
import { mainOf } from './service.ts';
import { SourceWatch } from './watch.ts';

/**
 * Replaces services whose sources change.
 * @param services the running services; a change ignores services that do not run
 * @param since when they began to load their sources
 */
export function reloadOnChange(
  root: string,
  services: () => readonly Supervised[],
  { since, listener }: { since: number; listener: Listener },
): SourceWatch {
  const watch = new SourceWatch(
    services().map(({ name }) => ({ name, main: mainOf(root, name) })),
    {
      onChange: (names, file) => {
        const changed = services().filter(({ name }) => names.includes(name));
        if (changed.length === 0) return;
        const list = changed.map(({ name }) => name).join(', ');
        listener.say('info', `${relative(root, file)} has changed: reloads ${list}`);
        for (const supervised of changed) supervised.replace();
      },
      onError: (error) => listener.say('warn', `services are not reloaded when their sources change: ${error.message}`),
    },
  );
  watch.start(since);
  return watch;
}
