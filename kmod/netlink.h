/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The generic-netlink family; see nib_netlink.yaml.
 */
#ifndef NIB_NL_H
#define NIB_NL_H

struct nib_device;
struct nib_notice;

int nib_netlink_init(void);
void nib_netlink_exit(void);
int nib_netlink_add(struct nib_device *ndev);
void nib_netlink_remove(struct nib_device *ndev);
void nib_netlink_send(struct nib_device *ndev, const struct nib_notice *notice);

#endif
