/** What SSM needs to know of an EC2 instance. */
export interface FleetInstance {
  readonly instanceId: string;
  /** EC2's name of its state, such as `running`. */
  readonly state: string;
  readonly ip: string;
  readonly tags: Record<string, string>;
}

/** The instances as EC2 has them. */
export interface Fleet {
  instances(): Promise<FleetInstance[]>;
}
