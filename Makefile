# Builds and installs bhavd as a service.
#   make && sudo make install                        into /usr
#   make install DESTDIR=/tmp/staging                for a packager
#   make deb                                         a Debian package, in target/debian
# PREFIX may be another than /usr where systemd and D-Bus look there too.
PREFIX ?= /usr
SYSCONFDIR ?= /etc
DESTDIR ?=
PROFILE ?= release
CARGO ?= cargo
# Where cargo leaves the programs: the profile dev has a directory of another name.
BUILD ?= $(or $(CARGO_TARGET_DIR),target)/$(patsubst dev,debug,$(PROFILE))

bindir = $(DESTDIR)$(PREFIX)/bin
libdir = $(DESTDIR)$(PREFIX)/lib
datadir = $(DESTDIR)$(PREFIX)/share
docdir = $(datadir)/doc/bhavd

.PHONY: all install uninstall deb

all:
	$(CARGO) build --locked --profile $(PROFILE) --bins

# "make install" builds nothing, so that it can run as root.
install:
	@test -x $(BUILD)/bhavd || { echo "$(BUILD)/bhavd is not there: run make first" >&2; exit 1; }
	install -d $(bindir) $(libdir)/systemd/system $(libdir)/systemd/catalog $(libdir)/sysusers.d $(libdir)/tmpfiles.d \
		$(datadir)/dbus-1/system.d $(datadir)/dbus-1/system-services \
		$(datadir)/polkit-1/actions $(docdir)/examples $(DESTDIR)$(SYSCONFDIR)/bhavd
	install -m 755 $(BUILD)/bhavd $(BUILD)/bhavctl $(bindir)
	sed 's:/usr/bin/bhavd:$(PREFIX)/bin/bhavd:; s:/etc/bhavd:$(SYSCONFDIR)/bhavd:' systemd/bhavd.service \
		> $(libdir)/systemd/system/bhavd.service
	chmod 644 $(libdir)/systemd/system/bhavd.service
	install -m 644 systemd/bhavd.socket $(libdir)/systemd/system
	install -m 644 systemd/bhavd.catalog $(libdir)/systemd/catalog
	install -m 644 systemd/bhavd.sysusers $(libdir)/sysusers.d/bhavd.conf
	install -m 644 systemd/bhavd.tmpfiles $(libdir)/tmpfiles.d/bhavd.conf
	install -m 644 systemd/org.bhavd.Bhavd1.conf $(datadir)/dbus-1/system.d
	install -m 644 systemd/org.bhavd.Bhavd1.service $(datadir)/dbus-1/system-services
	install -m 644 systemd/org.bhavd.Bhavd1.policy $(datadir)/polkit-1/actions
	install -m 644 README.md config/bhavd.toml $(docdir)
	install -m 644 systemd/credentials.conf systemd/notify-reload.conf $(docdir)/examples
	test -e $(DESTDIR)$(SYSCONFDIR)/bhavd/bhavd.toml || \
		install -m 644 systemd/bhavd.toml $(DESTDIR)$(SYSCONFDIR)/bhavd/bhavd.toml
	@test -n "$(DESTDIR)" || printf '%s\n' \
		'Next:  systemd-sysusers && systemd-tmpfiles --create' \
		'       systemctl daemon-reload && journalctl --update-catalog' \
		'       systemctl enable --now bhavd'

# What was recorded and configured stays.
uninstall:
	rm -f $(bindir)/bhavd $(bindir)/bhavctl
	rm -f $(libdir)/systemd/system/bhavd.service $(libdir)/systemd/system/bhavd.socket $(libdir)/systemd/catalog/bhavd.catalog
	rm -f $(libdir)/sysusers.d/bhavd.conf $(libdir)/tmpfiles.d/bhavd.conf
	rm -f $(datadir)/dbus-1/system.d/org.bhavd.Bhavd1.conf $(datadir)/dbus-1/system-services/org.bhavd.Bhavd1.service
	rm -f $(datadir)/polkit-1/actions/org.bhavd.Bhavd1.policy
	rm -rf $(docdir)

deb:
	scripts/package.sh --profile dist
