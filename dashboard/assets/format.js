const whole = new Intl.NumberFormat();
const amount = new Intl.NumberFormat(undefined, { minimumFractionDigits: 2, maximumFractionDigits: 2 });
const rough = new Intl.NumberFormat(undefined, { notation: 'compact', maximumFractionDigits: 1 });
const perSecond = new Intl.NumberFormat(undefined, { maximumFractionDigits: 1 });
const clock = new Intl.DateTimeFormat(undefined, {
  hour: '2-digit',
  minute: '2-digit',
  second: '2-digit',
  hourCycle: 'h23',
});
const day = new Intl.DateTimeFormat(undefined, { dateStyle: 'medium' });
const full = new Intl.DateTimeFormat(undefined, { dateStyle: 'medium', timeStyle: 'medium' });

/** @param {number} n */
export const count = (n) => whole.format(n);
/** @param {number} n */
export const money = (n) => amount.format(n);
/** @param {number} n */
export const compact = (n) => rough.format(n);
/** @param {number} n */
export const rate = (n) => `${perSecond.format(n)}/s`;

/**
 * The time of day today, with the date otherwise.
 *
 * @param {string | number | Date} time
 */
export function timeOfDay(time) {
  const date = new Date(time);
  return date.toDateString() === new Date().toDateString()
    ? clock.format(date)
    : `${day.format(date)} ${clock.format(date)}`;
}

/** @param {string | number | Date} time */
export const fullTime = (time) => full.format(new Date(time));

/**
 * The age of a time, in one unit.
 *
 * @param {string | number | Date} time
 * @param {number} [now] ms since the epoch
 */
export function ago(time, now = Date.now()) {
  const seconds = Math.max(0, Math.round((now - new Date(time).getTime()) / 1000));
  if (seconds < 60) return `${seconds} s ago`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ago`;
  if (seconds < 86_400) return `${Math.floor(seconds / 3600)} h ago`;
  return `${Math.floor(seconds / 86_400)} d ago`;
}

/**
 * Round values for the lines of a scale from 0 up to at least `max`.
 *
 * @param {number} max
 * @param {number} lines about how many
 */
export function ticks(max, lines) {
  if (!(max > 0)) return [0, 1];
  const raw = max / lines;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 2.5, 5, 10].map((factor) => factor * power).find((candidate) => candidate >= raw) ?? raw;
  return Array.from({ length: Math.ceil(max / step - 1e-9) + 1 }, (_, i) => i * step);
}
