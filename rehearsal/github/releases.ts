import { repositoryOf } from './repositories.ts';
import { type Call, created, found, ok, Refusal, type Route, textOf } from './router.ts';
import { type Release, type State, takeId, timeNow } from './state.ts';

/** GitHub releases, the newest first. Their assets are not kept. */
export function releaseRoutes(state: State): Route[] {
  const all = '/repos/:owner/:repo/releases';
  return [
    ['POST', all, ({ path, body }) => created(open(state, path, body))],
    ['GET', all, ({ path }) => ok(repositoryOf(state, path).releases)],
    ['GET', `${all}/latest`, ({ path }) => ok(latest(state, path))],
    ['GET', `${all}/tags/*tag`, ({ path }) => ok(found(byTag(state, path, path['tag'])))],
    ['GET', `${all}/:release`, ({ path }) => ok(releaseOf(state, path))],
    ['PATCH', `${all}/:release`, ({ path, body }) => ok(change(releaseOf(state, path), body))],
  ];
}

function open(state: State, path: Call['path'], body: Call['body']): Release {
  const tag = textOf(body, 'tag_name');
  const { releases, defaultBranch } = repositoryOf(state, path);
  if (byTag(state, path, tag)) throw new Refusal(422, 'Validation Failed: already_exists');
  const release: Release = {
    id: takeId(state),
    tag_name: tag,
    target_commitish: String(body['target_commitish'] ?? defaultBranch),
    name: String(body['name'] ?? ''),
    body: String(body['body'] ?? ''),
    draft: body['draft'] === true,
    prerelease: body['prerelease'] === true,
    created_at: timeNow(),
  };
  releases.unshift(release);
  return release;
}

function change(release: Release, body: Call['body']): Release {
  const { name, body: text, draft, prerelease } = body;
  if (typeof name === 'string') release.name = name;
  if (typeof text === 'string') release.body = text;
  if (typeof draft === 'boolean') release.draft = draft;
  if (typeof prerelease === 'boolean') release.prerelease = prerelease;
  return release;
}

function latest(state: State, path: Call['path']): Release {
  return found(repositoryOf(state, path).releases.find(({ draft, prerelease }) => !draft && !prerelease));
}

function byTag(state: State, path: Call['path'], tag: string | undefined): Release | undefined {
  return repositoryOf(state, path).releases.find(({ tag_name }) => tag_name === tag);
}

function releaseOf(state: State, path: Call['path']): Release {
  return found(repositoryOf(state, path).releases.find(({ id }) => id === Number(path['release'])));
}
