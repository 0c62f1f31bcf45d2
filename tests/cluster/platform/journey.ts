import { after, before, describe } from 'node:test';

import type { ReceivedSpan } from '#test/otlp.ts';
import { tour } from '../../platform/tour.ts';
import { trace } from '../../platform/trace.ts';
import type { PlatformUnderTest } from '../../platform/under-test.ts';
import { field, forward } from './cluster.ts';
import type { Forward } from './cluster.ts';
import { services } from './installed.ts';
import type { Installed } from './installed.ts';
import { monitoring } from './collector.ts';

/** Runs the suites of the local platform in the cluster: the view of a client, and traces. */
export function journey(platform: Installed): void {
  describe('a client', () => {
    const underTest = { spans: [] as ReceivedSpan[] } as unknown as PlatformUnderTest;
    const forwards: Forward[] = [];
    let listening: NodeJS.Timeout;

    before(async () => {
      const open = async (target: string, port: number, where?: string) => {
        const opened = await forward(target, port, where);
        forwards.push(opened);
        return opened.url;
      };
      for (const name of services) {
        const port = Number(await field(`service/${name}`, '.spec.ports[0].port'));
        Object.assign(underTest, { [name]: await open(`service/${name}`, port) });
      }
      underTest.gateway = platform.gateway.base;
      underTest.mail = await open('service/mail-catcher', 8025);
      const collector = await open('pod/collector', 4318, monitoring);
      const listen = async () => {
        const answer = await fetch(`${collector}/spans`);
        underTest.spans = (await answer.json()) as ReceivedSpan[];
      };
      await listen();
      listening = setInterval(() => void listen().catch(() => undefined), 500); // the next one fetches missed spans
    });
    after(async () => {
      clearInterval(listening);
      await Promise.all(forwards.map((opened) => opened.close()));
    });

    tour(underTest);
    trace(underTest);
  });
}
