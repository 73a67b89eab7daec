import { repositoryOf } from './repositories.ts';
import { type Call, created, found, ok, Refusal, type Route, textOf } from './router.ts';
import {
  type Comment,
  type Issue,
  type Label,
  type Repository,
  type State,
  takeId,
  timeNow,
} from './state.ts';

/** Issues, their comments and labels. */
export function issueRoutes(state: State): Route[] {
  const repository = '/repos/:owner/:repo';
  const issue = `${repository}/issues/:issue`;
  return [
    ['POST', `${repository}/issues`, ({ path, body }) => created(open(state, path, body))],
    ['GET', `${repository}/issues`, ({ path, query }) => ok(list(repositoryOf(state, path), query))],
    ['GET', issue, ({ path }) => ok(describe(issueOf(state, path)))],
    ['PATCH', issue, ({ path, body }) => ok(change(issueOf(state, path), body))],
    ['POST', `${issue}/comments`, ({ path, body }) => created(comment(state, issueOf(state, path), body))],
    ['GET', `${issue}/comments`, ({ path }) => ok(issueOf(state, path).comments)],
    ['PATCH', `${repository}/issues/comments/:comment`, ({ path, body }) => ok(rewrite(state, path, body))],
    ['POST', `${issue}/labels`, ({ path, body }) => ok(addLabels(issueOf(state, path), body))],
    [
      'DELETE',
      `${issue}/labels/:label`,
      ({ path }) => ok(removeLabel(issueOf(state, path), path['label'] ?? '')),
    ],
    ['GET', `${repository}/labels`, ({ path }) => ok(repositoryOf(state, path).labels)],
    ['GET', `${repository}/labels/:label`, ({ path }) => ok(labelOf(repositoryOf(state, path), path))],
    ['POST', `${repository}/labels`, ({ path, body }) => created(makeLabel(repositoryOf(state, path), body))],
  ];
}

function open(state: State, path: Call['path'], body: Call['body']): unknown {
  const { issues } = repositoryOf(state, path);
  const now = timeNow();
  const issue: Issue = {
    id: takeId(state),
    number: issues.length + 1,
    title: textOf(body, 'title'),
    body: String(body['body'] ?? ''),
    state: 'open',
    labels: namesIn(body['labels']),
    created_at: now,
    updated_at: now,
    comments: [],
  };
  issues.unshift(issue);
  return describe(issue);
}

function list({ issues }: Repository, query: URLSearchParams): unknown[] {
  const wanted = query.get('state') ?? 'open';
  const labels = (query.get('labels') ?? '').split(',').filter(Boolean);
  const fits = (issue: Issue): boolean =>
    (wanted === 'all' || issue.state === wanted) && labels.every((label) => issue.labels.includes(label));
  return issues.filter(fits).map(describe);
}

function change(issue: Issue, body: Call['body']): unknown {
  const { title, body: text, state, labels } = body;
  if (typeof title === 'string') issue.title = title;
  if (typeof text === 'string') issue.body = text;
  if (state === 'open' || state === 'closed') issue.state = state;
  else if (state !== undefined) throw new Refusal(422, 'the state of an issue is open or closed');
  if (labels !== undefined) issue.labels = namesIn(labels);
  issue.updated_at = timeNow();
  return describe(issue);
}

function comment(state: State, issue: Issue, body: Call['body']): Comment {
  const made = { id: takeId(state), body: textOf(body, 'body'), created_at: timeNow() };
  issue.comments.push(made);
  issue.updated_at = made.created_at;
  return made;
}

function rewrite(state: State, path: Call['path'], body: Call['body']): Comment {
  const comments = repositoryOf(state, path).issues.flatMap((issue) => issue.comments);
  const held = found(comments.find(({ id }) => id === Number(path['comment'])));
  held.body = textOf(body, 'body');
  return held;
}

function addLabels(issue: Issue, body: Call['body']): unknown[] {
  issue.labels = [...new Set([...issue.labels, ...namesIn(body['labels'])])];
  return describeLabels(issue);
}

function removeLabel(issue: Issue, name: string): unknown[] {
  if (!issue.labels.includes(name)) throw new Refusal(404, 'Label does not exist');
  issue.labels = issue.labels.filter((label) => label !== name);
  return describeLabels(issue);
}

function labelOf({ labels }: Repository, path: Call['path']): Label {
  return found(labels.find(({ name }) => name === path['label']));
}

function makeLabel({ labels }: Repository, body: Call['body']): Label {
  const name = textOf(body, 'name');
  if (labels.some((label) => label.name === name))
    throw new Refusal(422, 'Validation Failed: already_exists');
  const description = typeof body['description'] === 'string' ? body['description'] : null;
  const label = { name, color: String(body['color'] ?? 'ededed'), description };
  labels.push(label);
  return label;
}

function issueOf(state: State, path: Call['path']): Issue {
  return found(repositoryOf(state, path).issues.find(({ number }) => number === Number(path['issue'])));
}

function namesIn(labels: unknown): string[] {
  return Array.isArray(labels) ? labels.map((label) => String(label?.name ?? label)) : [];
}

function describe({ comments, ...issue }: Issue): unknown {
  return { ...issue, labels: issue.labels.map((name) => ({ name })), comments: comments.length };
}

function describeLabels(issue: Issue): unknown[] {
  return issue.labels.map((name) => ({ name }));
}
