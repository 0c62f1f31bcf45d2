import type { WindowSpec } from '../query/stream-query.ts';

type Shape = Pick<WindowSpec, 'size' | 'advance'>;

/**
 * The start of the latest window that holds a time; the others start an advance earlier each. All in milliseconds since
 * 1970, to which windows are aligned.
 */
export function latestStart({ advance }: Shape, time: number): number {
  return Math.floor(time / advance) * advance;
}

/** Whether a window takes no more events once the stream has come to `watermark`. */
export function isOver(window: Pick<WindowSpec, 'size' | 'grace'>, start: number, watermark: number): boolean {
  return start + window.size + window.grace <= watermark;
}
