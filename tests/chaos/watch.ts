/** A hop at a moment: how much it has to do, and where it is. */
export interface HopSample {
  /** Such as `orders-projection order-events/3`: the part after the first space tells parts of one hop apart. */
  name: string;
  /** The hop as the report names it. */
  hop: string;
  /** The service that does its work, and whose health must show it. */
  service: string;
  pending: number;
  /** Changes with every progress. */
  position: string;
}

export interface FalseGreen {
  hop: string;
  service: string;
  seconds: number;
}

/** A service may be green for this long while a hop of it makes no progress. */
const toleratedMs = 15_000;

/**
 * Finds services that report health while their work does not move. A hop stands still since the moment from which on it has
 * had work and kept its position; a false green begins when it has stood still, and its service has been green, for longer
 * than `toleratedMs`.
 */
export class GreenWatch {
  readonly falseGreens: FalseGreen[] = [];
  readonly #still = new Map<string, { since: number; position: string }>();
  readonly #greenSince = new Map<string, number>();
  readonly #open = new Map<string, FalseGreen>();

  /** @param green the services whose health says UP, with the time when it was asked last */
  observe(now: number, green: ReadonlyMap<string, number>, samples: readonly HopSample[]): void {
    for (const service of this.#greenSince.keys()) if (!green.has(service)) this.#greenSince.delete(service);
    for (const [service, asked] of green) if (!this.#greenSince.has(service)) this.#greenSince.set(service, asked);
    const longest = new Map<string, number>();
    for (const { name, hop, service, pending, position } of samples) {
      const still = this.#still.get(name);
      if (pending === 0) this.#still.delete(name);
      else if (still?.position !== position) this.#still.set(name, { since: now, position });
      else {
        const asked = green.get(service) ?? now; // it may say DOWN since
        const since = Math.max(still.since, this.#greenSince.get(service) ?? asked);
        const id = `${service} ${hop}`;
        longest.set(id, Math.max(longest.get(id) ?? 0, asked - since));
      }
    }
    for (const { hop, service } of samples) this.#note(hop, service, longest.get(`${service} ${hop}`) ?? 0);
  }

  #note(hop: string, service: string, ms: number): void {
    const id = `${service} ${hop}`;
    if (ms <= toleratedMs) this.#open.delete(id);
    else {
      const seconds = Math.round(ms / 1000);
      const open = this.#open.get(id);
      if (open) open.seconds = seconds;
      else {
        const found = { hop, service, seconds };
        this.#open.set(id, found);
        this.falseGreens.push(found);
      }
    }
  }
}
