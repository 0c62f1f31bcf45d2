import type { WindowSpec } from '#streams/language';

type Shape = Pick<WindowSpec, 'size' | 'advance'>;

/**
 * The start of the latest window that holds a time; the others start an advance earlier each. All in milliseconds since
 * 1970, to which windows are aligned.
 */
export function latestStart({ advance }: Shape, time: number): number {
  return Math.floor(time / advance) * advance;
}

/** How long after its end a window may still change, in milliseconds. */
export function openFor({ kind, size, grace }: Pick<WindowSpec, 'kind' | 'size' | 'grace'>): number {
  return kind === 'session' ? size + grace : grace; // the last event that a session takes comes up to a gap after its own last
}

/** Whether a window takes no more events once the stream has come to `watermark`. */
export function isOver(window: Pick<WindowSpec, 'size' | 'grace'>, start: number, watermark: number): boolean {
  return start + window.size + window.grace <= watermark;
}
