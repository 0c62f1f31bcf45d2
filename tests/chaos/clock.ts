// Chaos preloads this file into a service whose clock is wrong; the query of its address says by how many milliseconds. It moves
// what JavaScript reads of the time of day. Timers and `performance.now()` go on as they do when the clock of a machine is wrong.
const aheadMs = Number(new URL(import.meta.url).searchParams.get('ahead'));

const Right = Date;
const rightNow = Date.now;
const now = (): number => rightNow() + aheadMs;

Right.now = now;
globalThis.Date = new Proxy(Right, {
  construct: (target, args, newTarget) =>
    Reflect.construct(target, args.length === 0 ? [now()] : args, newTarget) as Date,
  apply: () => new Right(now()).toString(),
});
Object.defineProperty(performance, 'timeOrigin', { value: performance.timeOrigin + aheadMs, configurable: true });
