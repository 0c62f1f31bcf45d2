/** A change, as Artifact Hub shows it. */
export interface Change {
  /** added, changed, deprecated, removed, fixed or security */
  kind: string;
  description: string;
}

/**
 * The changes of a version in a changelog of the format Keep a Changelog. Undefined if it has no such version.
 * @param version such as `0.1.0`, or `Unreleased`
 */
export function changesOf(changelog: string, version: string): Change[] | undefined {
  const section = changelog.split(/^## /m).find((text) => text.split(/\s/)[0] === version);
  return section?.split(/^### /m).flatMap((part, index) => {
    if (index === 0) return [];
    const [kind = '', ...lines] = part.split('\n');
    const items = lines.join('\n').split(/^- /m).slice(1);
    return items.map((item) => ({ kind: kind.trim().toLowerCase(), description: plain(item) }));
  });
}

/** A point of a list on one line. */
const plain = (text: string): string => withoutLocalLinks(text).replaceAll(/\s+/g, ' ').trim();

/** A text of Markdown without the links to files of the project, which lead nowhere outside of it. */
export function withoutLocalLinks(text: string): string {
  return text.replaceAll(/\[([^\]]*)\]\((?![a-z]+:)[^)]*\)/g, '$1');
}
