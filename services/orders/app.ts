import type { Pool } from 'pg';
import { orders } from '#contracts/orders.ts';
import type { Health } from '#platform/health';
import { createHttp } from '#platform/http';
import type { HttpPart, HttpService } from '#platform/http';
import type { Logger } from '#platform/telemetry';
import { commandHandlers } from './commands/handlers.ts';
import type { Users } from './commands/handlers.ts';
import { OrderPlacer } from './commands/place.ts';
import { queryHandlers } from './queries/handlers.ts';
import { versionsOf } from './queries/one.ts';
import { VersionWaiter } from '#platform/projection';

export interface OrdersOptions {
  writePool: Pool;
  readPool: Pool;
  users: Users;
  health: Health;
  log: Logger;
  /** called after each command that has committed an event */
  wakeRelay: () => void;
  /** called before each command; @throws while none may be executed */
  beforeCommand?: () => void;
  /** the operations on dead letters and offsets */
  part?: HttpPart;
}

export interface OrdersApp {
  http: HttpService;
  /** call it after a commit of this process's projection: requests that wait for a version check again */
  projected(): void;
  /** resolves when no command is running */
  drain(): Promise<void>;
}

/** The HTTP side of orders: commands on the write database, queries on the read database. */
export function createOrdersApp(options: OrdersOptions): OrdersApp {
  const { writePool, readPool, users, health, log, wakeRelay, beforeCommand, part } = options;
  const placer = new OrderPlacer(writePool);
  const waiter = new VersionWaiter({ versions: (ids) => versionsOf(readPool, ids) });
  const http = createHttp({
    contract: orders,
    handlers: {
      ...commandHandlers({ writePool, placer, users, wakeRelay }),
      ...queryHandlers({ readPool, writePool, waiter }),
    },
    health,
    log,
    ...(part && { part }),
    ...(beforeCommand && { beforeCommand }),
  });
  return { http, projected: () => waiter.wake(), drain: () => placer.drain() };
}
