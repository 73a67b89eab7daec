import { askerOf, type GitHubOptions, split } from './github.ts';

/** The notes of the releases of a repository, as far as we write them. Needs the permission `contents: write`. */
export interface Releases {
  /** Rewrites the notes of the release of a tag; false where the tag has no release. */
  rewriteNotes(tag: string, rewrite: (notes: string) => string): Promise<boolean>;
}

export function openReleases({ token, repository, apiUrl }: GitHubOptions): Releases {
  const ask = askerOf({ token, apiUrl });
  const place = split(repository);
  return {
    async rewriteNotes(tag, rewrite) {
      const read = { what: `the release of ${tag}`, permission: 'contents: read' };
      const answer = await ask(read, (octokit) => octokit.rest.repos.getReleaseByTag({ ...place, tag }));
      if (!answer) return false;
      const { id: release_id, body: notes } = answer.data;
      const write = { what: `that it took the notes of ${tag}`, permission: 'contents: write' };
      const body = rewrite(notes ?? '');
      await ask(write, (octokit) => octokit.rest.repos.updateRelease({ ...place, release_id, body }));
      return true;
    },
  };
}
