import type { Place } from '../instance/find.ts';
import type { ImageFacts } from './image.ts';

/** A tag of EC2's holds so many characters: 11 groups, and an instance may have 16. Some of them would be another firewall. */
const tagLimit = 256;

/** The tags by which an image says where its instance ran: once that is destroyed, nothing else tells. */
export function placeTags({ type, subnet, groups }: Place): Record<string, string> {
  const Groups = groups.join(' ');
  return { InstanceType: type, Subnet: subnet, Groups: Groups.length > tagLimit ? '' : Groups };
}

/** Where the instance ran that an image was made of; undefined where its tags do not tell. */
export function placeIn({ tags }: Pick<ImageFacts, 'tags'>): Place | undefined {
  const { InstanceType: type = '', Subnet: subnet = '', Groups = '' } = tags;
  if (type === '' || subnet === '' || Groups === '') return undefined;
  return { type, subnet, groups: Groups.split(' ') };
}
