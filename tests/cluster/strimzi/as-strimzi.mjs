// Teaches the stand-in for Strimzi of a cluster without the real one what Strimzi 1.2 does differently, so that tests see it:
//   node as-strimzi.mjs STAND-IN
// The file is changed in place; what it has learned itself is left alone.
import { readFileSync, writeFileSync } from 'node:fs';

/** What the stand-in does, and what Strimzi does in its place: topic-operator and operator-common in its source. */
const lessons = [
  {
    about: 'the pattern type `prefix`, which a tool of Kafka calls `prefixed`',
    from: `resource.patternType ?? 'literal'`,
    to: `(resource.patternType ?? 'literal').replace(/^prefix$/, 'prefixed')`,
  },
  {
    about: 'the topic operator says Ready/False with the reason, where the others say NotReady/True',
    from: `{ type: 'NotReady', status: 'True', reason, message }`,
    to: `object.kind === 'KafkaTopic' ? { type: 'Ready', status: 'False', reason, message } : { type: 'NotReady', status: 'True', reason, message }`,
  },
  {
    about: 'its message of fewer partitions',
    from: '`Decreasing partitions not supported (${now.length} now)`',
    to: `'Decreasing partitions not supported'`,
  },
  {
    about: 'a finalizer on each topic, which goes when the topic is deleted in Kafka: without Kafka, never',
    from: `  if (topic.metadata.deletionTimestamp) return
  const existing = (await client.listTopics()).includes(name)
`,
    to: `  const existing = (await client.listTopics()).includes(name)
  const { finalizers = [], deletionTimestamp } = topic.metadata
  const own = 'strimzi.io/topic-operator'
  const patch = (list) => kubectl(['patch', 'kafkatopic', topic.metadata.name, '-n', topic.metadata.namespace, '--type=merge',
    '-p', JSON.stringify({ metadata: { finalizers: list } })])
  if (deletionTimestamp) {
    if (!finalizers.includes(own)) return
    if (existing) await client.deleteTopics({ topics: [name] })
    await patch(finalizers.filter((one) => one !== own))
    return log('KafkaTopic', name, 'deleted')
  }
  if (!finalizers.includes(own)) await patch([...finalizers, own])
`,
  },
  {
    about: 'so no topic is deleted because its resource is gone: another one may have its name by then',
    from: `seen.delete(uid); await deleteTopic(name, p).catch((e) => log(e.message))`,
    to: `seen.delete(uid) /* its finalizer did it */`,
  },
  {
    about: 'the labels of Kafka and of its pool on the pods, but for those that Strimzi excludes',
    from: `template: { metadata: { labels: labels(name),`,
    to: `template: { metadata: { labels: { ...copied(kafka), ...copied(pool), ...labels(name), 'app.kubernetes.io/part-of': \`strimzi-\${name}\` },`,
  },
  {
    about: 'which are these',
    from: `\nfunction plan(kafka, pools) {`,
    to: `
const excluded = /^(app\\.kubernetes\\.io\\/(?!part-of)|kustomize\\.toolkit\\.fluxcd\\.io)/
const copied = (o) => Object.fromEntries(Object.entries(o.metadata.labels ?? {}).filter(([key]) => !excluded.test(key)))

function plan(kafka, pools) {`,
  },
];

const [file] = process.argv.slice(2);
let source = readFileSync(file, 'utf8');
for (const { about, from, to } of lessons) {
  if (source.includes(to)) continue;
  if (source.split(from).length !== 2)
    throw new Error(`${file} has changed where it is to learn ${about}: mend as-strimzi.mjs`);
  source = source.replace(from, () => to);
}
writeFileSync(file, source);
