import { statSync, watch, type FSWatcher } from 'node:fs';
import { dirname, resolve } from 'node:path';

import { declarationsDir } from '#platform/declarations';

import { sourcesOf } from './sources.ts';

/** An editor writes in steps, and "save all" or a checkout writes many files: changes within this time are one change. */
const QUIET_MS = 40;

/** A program whose sources are watched. */
export interface Watched {
  name: string;
  /** Its main.ts. */
  main: string;
}

/** The callbacks. */
export interface WatchListener {
  /** Called with the programs that contain changed files, and one of these files. */
  onChange(names: string[], file: string): void;
  /** Called when watching has failed. */
  onError(error: Error): void;
}

/** State of a file by its path, as text. */
type Snapshot = ReadonlyMap<string, string>;

/**
 * Reports changes of the present sources of programs. Declarations do not count: `npm start` reads them at the start, and
 * analytics watches the stream queries.
 */
export class SourceWatch {
  readonly #programs: readonly Watched[];
  readonly #listener: WatchListener;
  readonly #snapshots = new Map<string, Snapshot>();
  readonly #watchers = new Map<string, { watcher: FSWatcher; inode: number }>();
  #timer: NodeJS.Timeout | undefined;

  constructor(programs: readonly Watched[], listener: WatchListener) {
    this.#programs = programs;
    this.#listener = listener;
  }

  /** @param since changes after this time (of the clock, in milliseconds) are reported at once */
  start(since: number): void {
    const late = this.#look((_, __, state) => Number.parseFloat(state) > since);
    if (late) this.#listener.onChange(late.names, late.file);
  }

  stop(): void {
    clearTimeout(this.#timer);
    for (const { watcher } of this.#watchers.values()) watcher.close();
    this.#watchers.clear();
  }

  /** Takes new snapshots. @returns the programs of files for which `isChanged` is true */
  #look(isChanged: (before: Snapshot | undefined, file: string, state: string) => boolean) {
    const states = new Map<string, string>();
    const names: string[] = [];
    let changed: string | undefined;
    for (const { name, main } of this.#programs) {
      const before = this.#snapshots.get(name);
      const files = sourcesOf(main, resolve(declarationsDir));
      for (const file of files) if (!states.has(file)) states.set(file, stateOf(file));
      const found = files.find((file) => isChanged(before, file, states.get(file) ?? ''));
      if (found !== undefined) names.push(name);
      changed ??= found;
      this.#snapshots.set(name, new Map(files.map((file) => [file, states.get(file) ?? ''])));
    }
    this.#watchFoldersOf([...states.keys()]);
    return changed === undefined ? undefined : { names, file: changed };
  }

  /** Watches folders, because an editor may replace the file that it saves. */
  #watchFoldersOf(files: string[]): void {
    const folders = new Map(files.map((file) => folderOf(file)).map(({ path, inode }) => [path, inode]));
    for (const [path, { watcher, inode }] of this.#watchers)
      if (folders.get(path) !== inode) {
        watcher.close();
        this.#watchers.delete(path);
      }
    for (const [path, inode] of folders) if (!this.#watchers.has(path)) this.#watchFolder(path, inode);
  }

  #watchFolder(path: string, inode: number): void {
    const fail = (error: Error): void => {
      this.stop();
      this.#listener.onError(error);
    };
    try {
      const watcher = watch(path, { persistent: false }, () => this.#soon());
      watcher.on('error', fail);
      this.#watchers.set(path, { watcher, inode });
    } catch (error) {
      fail(error as Error);
    }
  }

  #soon(): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      const changed = this.#look((before, file, state) => before?.get(file) !== state);
      if (changed) this.#listener.onChange(changed.names, changed.file);
    }, QUIET_MS);
  }
}

/** A text that changes when a file is written, even with the same content, or deleted. */
function stateOf(file: string): string {
  const found = statSync(file, { throwIfNoEntry: false });
  return found ? `${found.mtimeMs} ${found.size} ${found.ino}` : 'none';
}

/** The nearest folder above a file that exists; a folder that is created again counts as another one. */
function folderOf(file: string): { path: string; inode: number } {
  const path = dirname(file);
  const found = statSync(path, { throwIfNoEntry: false });
  return found ? { path, inode: found.ino } : folderOf(path);
}
